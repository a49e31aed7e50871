from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from claimpt_tf.errors import ArtifactError
from claimpt_tf.serving.cpp_loader import (
    Call,
    run_in_cpp_loader,
    score_with_cpp_loader,
)


def test_scores_without_python_s_tensorflow(
    saved_models: dict[str, Path], examples: list[bytes]
) -> None:
    import tensorflow as tf

    signature = tf.saved_model.load(str(saved_models["one"])).signatures
    python = signature["serving_default"](examples=tf.constant(examples))

    scores = score_with_cpp_loader(saved_models["one"], examples)
    report = run_in_cpp_loader(
        saved_models["one"],
        [Call("serving_default", {"examples": examples}, repeats=3)],
    )

    np.testing.assert_allclose(scores, python["probability"].numpy(), atol=1e-6)
    assert not report.imported_tensorflow
    assert report.runtime_version == tf.__version__
    assert len(report.results[0].seconds) == 3
    np.testing.assert_array_equal(report.results[0].outputs["probability"], scores)


def test_a_failing_call_leaves_the_others(
    saved_models: dict[str, Path], examples: list[bytes]
) -> None:
    calls = [
        Call("serving_default", {"examples": [b"\xff"]}),
        Call("serving_default", {"examples": examples}),
    ]
    failed, fine = run_in_cpp_loader(saved_models["one"], calls).results
    assert failed.error is not None
    assert failed.error.startswith("INVALID_ARGUMENT: Could not parse example")
    assert fine.error is None


def test_corrupted_variables(
    saved_models: dict[str, Path], examples: list[bytes]
) -> None:
    with pytest.raises(ArtifactError, match="DATA_LOSS.*Checksum does not match"):
        score_with_cpp_loader(saved_models["corrupt"], examples)


def test_a_python_op_fails_in_cpp(
    saved_models: dict[str, Path], examples: list[bytes]
) -> None:
    with pytest.raises(ArtifactError, match="No OpKernel.*EagerPyFunc"):
        score_with_cpp_loader(saved_models["python_op"], examples)


def test_wrong_names_and_no_time(
    saved_models: dict[str, Path], examples: list[bytes]
) -> None:
    one = saved_models["one"]
    with pytest.raises(ArtifactError, match="no signature 'predict' with one input"):
        score_with_cpp_loader(one, examples, signature="predict")
    with pytest.raises(ArtifactError, match="no output 'risk', only probability"):
        score_with_cpp_loader(one, examples, output="risk")
    with pytest.raises(ArtifactError, match="did not finish within 0.01 s"):
        score_with_cpp_loader(one, examples, timeout=0.01)
    with pytest.raises(ArtifactError, match="no saved_model.pb"):
        score_with_cpp_loader(one.parent, examples)
