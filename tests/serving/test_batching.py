from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from claimpt_tf.serving.batching import Batcher
from claimpt_tf.serving.cpp_session import CppSession
from claimpt_tf.serving.errors import InferenceError
from claimpt_tf.serving.models_config import Batching
from claimpt_tf.serving.requests import to_predict_inputs


@pytest.fixture(scope="module")
def session(saved_models: dict[str, Path]) -> Iterator[CppSession]:
    with CppSession(saved_models["one"]) as session:
        yield session


@pytest.mark.parametrize("pad", [True, False])
def test_each_gets_its_own_rows(
    session: CppSession, members: list[dict[str, Any]], pad: bool
) -> None:
    """Histories of unlike lengths, joined while the only place to run is taken."""
    batcher = Batcher(Batching(threads=1, pad=pad, max_batch_size=5))
    asked = [to_predict_inputs([one]) for one in members]
    alone = [session.run("predict", one)["probability"] for one in asked]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        batcher._slots.acquire()
        running = [
            pool.submit(batcher.run, session, "predict", one) for one in asked * 2
        ]
        while sum(b.rows for b in batcher._open.values()) < (1 if pad else 2):
            pass
        batcher._slots.release()
        results = [one.result(timeout=30) for one in running]
    for (outputs, _), score in zip(results, alone * 2, strict=True):
        np.testing.assert_allclose(outputs["probability"], score, atol=1e-6)
    assert max(rows for _, rows in results) > 1
    assert max(rows for _, rows in results) <= 5


def test_a_bad_record_fails_alone(session: CppSession, examples: list[bytes]) -> None:
    batcher = Batcher(Batching(threads=1, timeout_seconds=0.2))

    def ask(record: bytes) -> Any:
        try:
            return batcher.run(session, "serving_default", {"examples": [record]})
        except InferenceError as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        good, bad, also = pool.map(ask, [examples[1], b"\xffno record", examples[2]])
    assert bad.code == "INVALID_ARGUMENT"
    assert len(good[0]["probability"]) == len(also[0]["probability"]) == 1


def test_a_full_queue_and_a_deadline(
    session: CppSession, examples: list[bytes]
) -> None:
    batcher = Batcher(Batching(threads=1, max_enqueued=1, max_batch_size=2))
    two = {"examples": examples[:2]}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        batcher._slots.acquire()
        first = pool.submit(batcher.run, session, "serving_default", two)
        while not batcher._open:
            pass
        with pytest.raises(InferenceError, match="queue is full") as caught:
            batcher.run(session, "serving_default", two)
        assert caught.value.code == "RESOURCE_EXHAUSTED"
        batcher._slots.release()
        assert len(first.result(timeout=30)[0]["probability"]) == 2
        batcher._slots.acquire()
        with pytest.raises(InferenceError, match="time for this request") as caught:
            batcher.run(session, "serving_default", {"examples": []}, seconds=0.01)
        assert caught.value.code == "DEADLINE_EXCEEDED"
        batcher._slots.release()
