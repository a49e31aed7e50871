from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from claimpt_tf.errors import ArtifactError
from claimpt_tf.serving.cpp_session import CppSession
from claimpt_tf.serving.errors import InferenceError, LoadError
from claimpt_tf.serving.requests import to_predict_inputs


@pytest.fixture(scope="module")
def session(saved_models: dict[str, Path]) -> Any:
    with CppSession(saved_models["one"], threads=1) as session:
        yield session


@pytest.fixture
def columns(members: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    return to_predict_inputs(members)


def test_same_scores_as_python_and_from_both_signatures(
    saved_models: dict[str, Path],
    session: CppSession,
    examples: list[bytes],
    columns: dict[str, np.ndarray],
) -> None:
    import tensorflow as tf

    signature = tf.saved_model.load(str(saved_models["one"])).signatures
    python = signature["serving_default"](examples=tf.constant(examples))

    scores = session.run("serving_default", {"examples": examples})["probability"]
    dense = session.run("predict", columns)["probability"]

    assert scores.dtype == np.float32 and scores.shape == (8,)
    assert np.ptp(scores) > 0.05
    np.testing.assert_allclose(scores, python["probability"].numpy(), atol=1e-6)
    np.testing.assert_allclose(dense, scores, atol=1e-6)


def test_an_empty_batch(session: CppSession) -> None:
    scores = session.run("serving_default", {"examples": []})["probability"]
    assert scores.shape == (0,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codes": [["A"]]}, r"codes has the shape \[1, 1\], the model takes"),
        ({"visit_days": [[1.5]]}, "visit_days takes int64, got float64"),
        ({"visit_days": [[1], [1, 2]]}, "visit_days is ragged"),
        ({"sex": [1]}, "sex takes strings"),
        ({"codes": [[["a"], ["a", "b"]]]}, "codes"),
        ({"cost": np.zeros((8, 2))}, "shape"),
    ],
)
def test_bad_inputs_are_told_apart(
    session: CppSession,
    columns: dict[str, np.ndarray],
    changes: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(InferenceError, match=message) as caught:
        session.run("predict", {**columns, **changes})
    assert caught.value.code == "INVALID_ARGUMENT"


def test_unknown_signature_and_inputs(session: CppSession) -> None:
    with pytest.raises(InferenceError, match='"explain" not found in signature def'):
        session.run("explain", {})
    with pytest.raises(InferenceError, match="must be equal to: examples"):
        session.run("serving_default", {"example": [b""]})


def test_a_record_that_does_not_parse_is_not_quoted(session: CppSession) -> None:
    with pytest.raises(InferenceError) as caught:
        session.run("serving_default", {"examples": [b"\xffICD10CM:SECRET"]})
    assert caught.value.code == "INVALID_ARGUMENT"
    assert "SECRET" not in str(caught.value)


def test_the_loader_s_own_words(saved_models: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="C\\+\\+ loader refuses") as caught:
        CppSession(saved_models["corrupt"])
    assert caught.value.code == "DATA_LOSS"
    with pytest.raises(ArtifactError, match="no saved_model.pb"):
        CppSession(tmp_path)


def test_closed_twice_and_used_afterwards(saved_models: dict[str, Path]) -> None:
    session = CppSession(saved_models["one"])
    session.close()
    session.close()
    with pytest.raises(InferenceError, match="closed"):
        session.run("serving_default", {"examples": []})


def test_many_threads_get_their_own_answers(
    session: CppSession, examples: list[bytes]
) -> None:
    alone = [
        session.run("serving_default", {"examples": [record]})["probability"][0]
        for record in examples
    ]
    wrong: list[int] = []

    def ask(at: int) -> None:
        for _ in range(50):
            got = session.run("serving_default", {"examples": [examples[at]]})
            if abs(got["probability"][0] - alone[at]) > 1e-6:
                wrong.append(at)

    threads = [threading.Thread(target=ask, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_long_strings_are_given_back(
    session: CppSession, columns: dict[str, np.ndarray]
) -> None:
    def resident() -> int:
        fields = Path("/proc/self/statm").read_text().split()
        return int(fields[1]) * 4096

    if not Path("/proc/self/statm").exists():
        pytest.skip("memory is read from /proc, which this system does not have")
    long = np.full_like(columns["codes"], "x" * 20_000)
    run = {**columns, "codes": long}
    for _ in range(5):
        session.run("predict", run)
    before = resident()
    for _ in range(25):  # 29 MB each
        session.run("predict", run)
    assert resident() - before < 60_000_000
