"""gRPC with the official stubs, after tensorflow_serving/apis/*.proto."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    input_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from claimpt_tf.serving.requests import to_predict_inputs

CODE = grpc.StatusCode
SECONDS = 30


@pytest.fixture
def stub(endpoint: Any) -> Any:
    return prediction_service_pb2_grpc.PredictionServiceStub(endpoint.channel)


@pytest.fixture
def models(endpoint: Any) -> Any:
    return model_service_pb2_grpc.ModelServiceStub(endpoint.channel)


def predict_request(
    endpoint: Any, inputs: dict[str, Any], signature: str = "predict"
) -> Any:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = endpoint.model
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def scores(response: Any) -> np.ndarray:
    return tf.make_ndarray(response.outputs["probability"])


def list_of(examples: list[bytes]) -> Any:
    parsed = [tf.train.Example.FromString(one) for one in examples]
    return input_pb2.Input(example_list=input_pb2.ExampleList(examples=parsed))


def code_of(call: Any, request: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=SECONDS)
    assert caught.value.details()
    return caught.value.code()


@pytest.fixture
def expected(endpoint: Any, stub: Any, examples: list[bytes]) -> np.ndarray:
    request = predict_request(endpoint, {"examples": examples}, "")
    response = stub.Predict(request, timeout=SECONDS)
    assert response.model_spec.name == endpoint.model
    assert response.model_spec.signature_name == "serving_default"
    assert response.model_spec.version.value >= 1
    return scores(response)


def test_predict_by_codes_and_by_records(
    endpoint: Any, stub: Any, members: list[dict[str, Any]], expected: np.ndarray
) -> None:
    request = predict_request(endpoint, to_predict_inputs(members))
    np.testing.assert_allclose(
        scores(stub.Predict(request, timeout=SECONDS)), expected, atol=1e-5
    )
    request.output_filter.append("probability")
    assert list(stub.Predict(request, timeout=SECONDS).outputs) == ["probability"]


def test_a_version_is_asked_by_number(
    endpoint: Any, stub: Any, models: Any, examples: list[bytes], expected: np.ndarray
) -> None:
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = endpoint.model
    (status, *_) = models.GetModelStatus(asked, timeout=SECONDS).model_version_status
    assert status.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert status.status.error_code == 0
    request = predict_request(endpoint, {"examples": examples}, "serving_default")
    request.model_spec.version.value = status.version
    np.testing.assert_allclose(
        scores(stub.Predict(request, timeout=SECONDS)), expected, atol=1e-5
    )
    request.model_spec.version.value = 999_999
    assert code_of(stub.Predict, request) == CODE.NOT_FOUND
    asked.model_spec.version.value = 999_999
    assert code_of(models.GetModelStatus, asked) == CODE.NOT_FOUND


def test_classify(
    endpoint: Any, stub: Any, examples: list[bytes], expected: np.ndarray
) -> None:
    request = classification_pb2.ClassificationRequest(input=list_of(examples))
    request.model_spec.name = endpoint.model
    request.model_spec.signature_name = "classify"
    response = stub.Classify(request, timeout=SECONDS)
    rows = response.result.classifications
    assert [[c.label for c in row.classes] for row in rows] == [["no", "yes"]] * 8
    got = [[c.score for c in row.classes] for row in rows]
    np.testing.assert_allclose(got, np.stack([1 - expected, expected], 1), atol=1e-5)
    request.model_spec.signature_name = "regress"
    assert code_of(stub.Classify, request) == CODE.INVALID_ARGUMENT


def test_regress_with_context(
    endpoint: Any, stub: Any, examples: list[bytes], expected: np.ndarray
) -> None:
    request = regression_pb2.RegressionRequest(input=list_of(examples))
    request.model_spec.name = endpoint.model
    request.model_spec.signature_name = "regress"
    response = stub.Regress(request, timeout=SECONDS)
    got = [one.value for one in response.result.regressions]
    np.testing.assert_allclose(got, expected, atol=1e-5)

    # What all examples have in common may stand in the context instead.
    bare = [tf.train.Example.FromString(one) for one in examples]
    context = tf.train.Example()
    context.features.feature["index_day"].CopyFrom(
        bare[0].features.feature["index_day"]
    )
    for one in bare:
        del one.features.feature["index_day"]
    with_context = input_pb2.ExampleListWithContext(examples=bare, context=context)
    request.input.Clear()
    request.input.example_list_with_context.CopyFrom(with_context)
    response = stub.Regress(request, timeout=SECONDS)
    got = [one.value for one in response.result.regressions]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    request.input.Clear()
    assert code_of(stub.Regress, request) == CODE.INVALID_ARGUMENT


def test_multi_inference(
    endpoint: Any, stub: Any, examples: list[bytes], expected: np.ndarray
) -> None:
    request = inference_pb2.MultiInferenceRequest(input=list_of(examples))
    for signature in ("classify", "regress"):
        task = request.tasks.add(method_name=f"tensorflow/serving/{signature}")
        task.model_spec.name = endpoint.model
        task.model_spec.signature_name = signature
    classified, regressed = stub.MultiInference(request, timeout=SECONDS).results
    assert classified.model_spec.signature_name == "classify"
    rows = classified.classification_result.classifications
    got = [row.classes[1].score for row in rows]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    got = [one.value for one in regressed.regression_result.regressions]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    request.tasks[1].model_spec.name = "another"
    assert code_of(stub.MultiInference, request) == CODE.INVALID_ARGUMENT


def test_metadata(endpoint: Any, stub: Any) -> None:
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    request.model_spec.name = endpoint.model
    request.metadata_field.append("signature_def")
    response = stub.GetModelMetadata(request, timeout=SECONDS)
    packed = response.metadata["signature_def"]
    found = get_model_metadata_pb2.SignatureDefMap()
    assert packed.Unpack(found)
    signature = found.signature_def["predict"]
    assert signature.method_name == "tensorflow/serving/predict"
    assert signature.inputs["codes"].dtype == tf.string.as_datatype_enum
    assert [d.size for d in signature.inputs["codes"].tensor_shape.dim] == [-1] * 3
    del request.metadata_field[:]
    assert code_of(stub.GetModelMetadata, request) == CODE.INVALID_ARGUMENT


def test_what_is_refused(endpoint: Any, stub: Any, examples: list[bytes]) -> None:
    unfit = {CODE.INVALID_ARGUMENT, CODE.FAILED_PRECONDITION}
    request = predict_request(endpoint, {"examples": examples}, "nothing_such")
    assert code_of(stub.Predict, request) in unfit
    request = predict_request(endpoint, {"records": examples}, "serving_default")
    assert code_of(stub.Predict, request) in unfit
    request = predict_request(endpoint, {"examples": [1.5]}, "serving_default")
    assert code_of(stub.Predict, request) in unfit
    request = predict_request(endpoint, {"examples": ["MARK"]}, "serving_default")
    assert code_of(stub.Predict, request) in unfit
    request = predict_request(endpoint, {"examples": examples}, "serving_default")
    request.output_filter.append("nothing_such")
    assert code_of(stub.Predict, request) in unfit
    request.model_spec.name = "another"
    assert code_of(stub.Predict, request) == CODE.NOT_FOUND
    request.model_spec.name = ""
    assert code_of(stub.Predict, request) == CODE.INVALID_ARGUMENT
    request.model_spec.name = endpoint.model
    request.model_spec.version_label = "nothing_such"
    assert code_of(stub.Predict, request) == CODE.INVALID_ARGUMENT
    unary = endpoint.channel.unary_unary
    call = unary("/tensorflow.serving.PredictionService/NothingSuch")
    assert code_of(call, b"") == CODE.UNIMPLEMENTED


def test_reload_gives_labels(
    endpoint: Any, stub: Any, models: Any, examples: list[bytes], expected: np.ndarray
) -> None:
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = endpoint.model
    (status, *_) = models.GetModelStatus(asked, timeout=SECONDS).model_version_status
    request = model_management_pb2.ReloadConfigRequest()
    config = request.config.model_config_list.config.add(
        name=endpoint.model, base_path=endpoint.base, model_platform="tensorflow"
    )
    config.version_labels["stable"] = status.version
    answer = models.HandleReloadConfigRequest(request, timeout=SECONDS)
    assert answer.status.error_code == 0, answer.status.error_message
    by_label = predict_request(endpoint, {"examples": examples}, "serving_default")
    by_label.model_spec.version_label = "stable"
    np.testing.assert_allclose(
        scores(stub.Predict(by_label, timeout=SECONDS)), expected, atol=1e-5
    )
    config.version_labels["canary"] = 999_999
    answer = models.HandleReloadConfigRequest(request, timeout=SECONDS)
    assert answer.status.error_code == CODE.FAILED_PRECONDITION.value[0]


def test_deadline_and_cancel(
    endpoint: Any, stub: Any, members: list[dict[str, Any]], examples: list[bytes]
) -> None:
    request = predict_request(endpoint, {"examples": examples * 500}, "serving_default")
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(request, timeout=0.001)
    assert caught.value.code() == CODE.DEADLINE_EXCEEDED
    future = stub.Predict.future(request, timeout=SECONDS)
    future.cancel()
    small = predict_request(endpoint, to_predict_inputs(members))
    assert len(scores(stub.Predict(small, timeout=SECONDS))) == len(members)
