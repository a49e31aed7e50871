from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from claimpt_tf.errors import ArtifactError
from claimpt_tf.serving import warmup
from claimpt_tf.serving.cpp_session import CppSession
from claimpt_tf.serving.errors import InferenceError
from claimpt_tf.serving.requests import to_examples
from claimpt_tf.visits.records import write_records


@pytest.fixture
def model(saved_models: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved_models["one"], tmp_path / "model"))


def test_the_file_is_what_tensorflow_serving_expects(
    model: Path, members: list[dict[str, Any]], examples: list[bytes]
) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    file = warmup.write_warmup(model, examples, model_name="asthma")
    assert file == model / "assets.extra" / "tf_serving_warmup_requests"

    found, others = [], []
    for raw in tf.data.TFRecordDataset(str(file)):
        log = prediction_log_pb2.PredictionLog.FromString(raw.numpy())
        kind = log.WhichOneof("log_type")
        request = getattr(log, kind).request
        assert request.model_spec.name == "asthma"
        if kind != "predict_log":
            (example, *_) = request.input.example_list.examples
            assert "visit_days" in example.features.feature
            others.append((kind, request.model_spec.signature_name))
            continue
        inputs = {k: tf.make_ndarray(v) for k, v in request.inputs.items()}
        found.append((request.model_spec.signature_name, inputs))
    assert [(name, len(next(iter(x.values())))) for name, x in found] == [
        ("predict", 1),
        ("predict", 8),
        ("serving_default", 1),
        ("serving_default", 8),
    ]
    assert (
        others == [("classify_log", "classify")] * 2 + [("regress_log", "regress")] * 2
    )
    assert found[3][1]["examples"].tolist() == examples

    signatures = tf.saved_model.load(str(model)).signatures
    scores = [
        signatures[name](**{k: tf.constant(v) for k, v in inputs.items()})
        for name, inputs in found
    ]
    np.testing.assert_allclose(
        scores[1]["probability"], scores[3]["probability"], atol=1e-6
    )


def test_reading_what_tensorflow_wrote(model: Path) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    arrays = {
        "words": np.array([["a", "bb"]], dtype=object),
        "numbers": np.arange(6, dtype=np.int64).reshape(2, 3),
        "same": np.full((2, 2), 0.5, np.float32),
        "flags": np.array([True, False]),
    }
    request = predict_pb2.PredictRequest()
    for name, array in arrays.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    log = prediction_log_pb2.PredictionLog(
        predict_log=prediction_log_pb2.PredictLog(request=request)
    )
    write_records([log.SerializeToString()], model / warmup.WARMUP_FILE)

    (read,) = warmup.read_warmup(model)
    assert read.signature == "serving_default"
    assert read.inputs["words"].tolist() == [[b"a", b"bb"]]
    for name in ("numbers", "same", "flags"):
        np.testing.assert_array_equal(read.inputs[name], arrays[name])
        assert read.inputs[name].dtype == arrays[name].dtype


def test_invented_members_by_default(model: Path) -> None:
    warmup.write_warmup(model)
    with CppSession(model) as session:
        assert warmup.replay(session, model) == 8


def test_no_file_and_damaged_files(model: Path) -> None:
    file = warmup.write_warmup(model)
    content = file.read_bytes()
    for damaged in (content[:-3], content[:40] + b"\0" + content[41:], b"text"):
        file.write_bytes(damaged)
        with pytest.raises(ArtifactError, match="not a warm-up file"):
            warmup.read_warmup(model)
    file.unlink()
    assert warmup.read_warmup(model) == []


def test_a_request_that_fails(
    model: Path, saved_models: dict[str, Path], members: list[dict[str, Any]]
) -> None:
    with CppSession(saved_models["no_predict"]) as session:
        warmup.write_warmup(model, to_examples(members))
        with pytest.raises(InferenceError, match="classify"):
            warmup.replay(session, model)
