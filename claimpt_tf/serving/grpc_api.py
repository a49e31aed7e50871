"""TensorFlow Serving's gRPC services, and gRPC's own health service.

Messages are parsed with this package's own descriptors (`protos`), which have the
published field numbers, so that any client's stubs work and TensorFlow need not be
imported here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from claimpt_tf.errors import InputError
from claimpt_tf.serving import protos
from claimpt_tf.serving.c_api import STATUS_NAMES
from claimpt_tf.serving.errors import InferenceError
from claimpt_tf.serving.examples import examples_of_input
from claimpt_tf.serving.inference import Call, Inference, signature_or_default
from claimpt_tf.serving.models_config import model_configs
from claimpt_tf.serving.saved_model import CLASSIFY, REGRESS, SignatureSpec, TensorSpec
from claimpt_tf.serving.served_models import ModelRef
from claimpt_tf.serving.tensor_proto import fill_tensor, read_tensor
from claimpt_tf.serving.tensor_types import NUMBERS

PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
MODEL_SERVICE = "tensorflow.serving.ModelService"
HEALTH_SERVICE = "grpc.health.v1.Health"
_STATES = {"START": 10, "LOADING": 20, "AVAILABLE": 30, "UNLOADING": 40, "END": 50}
_CODES = {name: number for number, name in STATUS_NAMES.items()}
_SERVING, _NOT_SERVING = 1, 2
_WATCH_SECONDS = 1.0


def _ref(spec: Any) -> ModelRef:
    if not spec.name:
        raise InferenceError("INVALID_ARGUMENT", "Missing ModelSpec.name")
    version = spec.version.value if spec.HasField("version") else None
    return ModelRef(spec.name, version, spec.version_label or None)


def _say(spec: Any, ref: ModelRef, version: int, signature: str) -> None:
    spec.name, spec.signature_name = ref.name, signature
    spec.version.value = version


class GrpcApi:
    """The services' methods.

    Args:
        inference: what answers them.
        reload: serves other models instead.
    """

    def __init__(
        self, inference: Inference, reload: Callable[[list[Any]], None]
    ) -> None:
        self._inference, self._reload = inference, reload
        self._ended = threading.Event()

    def handlers(self) -> list[Any]:
        """GRPC's handlers of all services."""
        unary = {
            PREDICTION_SERVICE: {
                "Predict": (self._predict, protos.PredictRequest),
                "Classify": (self._classify, protos.ClassificationRequest),
                "Regress": (self._regress, protos.RegressionRequest),
                "MultiInference": (self._multi, protos.MultiInferenceRequest),
                "GetModelMetadata": (self._metadata, protos.GetModelMetadataRequest),
            },
            MODEL_SERVICE: {
                "GetModelStatus": (self._status, protos.GetModelStatusRequest),
                "HandleReloadConfigRequest": (
                    self._reload_config,
                    protos.ReloadConfigRequest,
                ),
            },
            HEALTH_SERVICE: {"Check": (self._check, protos.HealthCheckRequest)},
        }
        services: dict[str, dict[str, Any]] = {
            service: {
                name: grpc.unary_unary_rpc_method_handler(
                    self._answering(name, method),
                    request_deserializer=request.FromString,
                    response_serializer=_serialised,
                )
                for name, (method, request) in methods.items()
            }
            for service, methods in unary.items()
        }
        services[HEALTH_SERVICE]["Watch"] = grpc.unary_stream_rpc_method_handler(
            self._watch,
            request_deserializer=protos.HealthCheckRequest.FromString,
            response_serializer=_serialised,
        )
        return [
            grpc.method_handlers_generic_handler(service, methods)
            for service, methods in services.items()
        ]

    def end(self) -> None:
        """Tells health watchers that it is over."""
        self._ended.set()

    def _answering(self, name: str, method: Callable[[Any, Call], Any]) -> Any:
        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            call = Call(name.lower(), "GRPC", context.time_remaining())
            code, message = "OK", ""
            try:
                if name in ("Check", "GetModelStatus"):  # these answer under any load
                    return method(request, call)
                with self._inference.admitted():
                    return method(request, call)
            except InferenceError as error:
                code, message = error.code, str(error)
            except Exception as error:
                # Only the type: a message could quote what the request held.
                call.note["failure"] = type(error).__name__
                code, message = "INTERNAL", "internal error of the server"
            finally:
                if name != "Check":
                    self._inference.finish(call, _model_of(request), code)
            return context.abort(grpc.StatusCode[code], message)

        return answer

    def _predict(self, request: Any, call: Call) -> Any:
        ref = _ref(request.model_spec)
        signature = signature_or_default(request.model_spec.signature_name)
        inputs = {}
        for name, tensor in request.inputs.items():
            try:
                inputs[name] = read_tensor(tensor)
            except InferenceError as error:
                raise InferenceError(
                    error.code, f"input {name[:80]}: {error}"
                ) from None
        with self._inference.models.lease(ref) as held:
            spec = held[1].signatures.get(signature)
            wanted = list(request.output_filter) or list(spec.outputs if spec else ())
            for name in wanted:
                if spec is not None and name not in spec.outputs:
                    raise InferenceError(
                        "INVALID_ARGUMENT",
                        f"output tensor alias not found in signature: {name[:80]} "
                        f"Outputs expected to be in the set: {','.join(spec.outputs)}",
                    )
            outputs = self._inference.run(call, held, signature, inputs)
            response = protos.PredictResponse()
            _say(response.model_spec, ref, held[0], signature)
            assert spec is not None
            for name in wanted:
                dtype = spec.outputs[name].dtype
                fill_tensor(response.outputs[name], outputs[name], dtype)
        return response

    def _classify(self, request: Any, call: Call) -> Any:
        response = protos.ClassificationResponse()
        self._of_examples(request, call, response, self._classified)
        return response

    def _regress(self, request: Any, call: Call) -> Any:
        response = protos.RegressionResponse()
        self._of_examples(request, call, response, self._regressed)
        return response

    def _of_examples(self, request: Any, call: Call, response: Any, how: Any) -> None:
        ref, examples = _ref(request.model_spec), examples_of_input(request.input)
        signature = signature_or_default(request.model_spec.signature_name)
        with self._inference.models.lease(ref) as held:
            how(response.result, call, held, signature, examples)
            _say(response.model_spec, ref, held[0], signature)

    def _classified(self, result: Any, *asked: Any) -> None:
        for row in self._inference.classify(*asked):
            classes = result.classifications.add().classes
            for label, score in row:
                classes.add(label=label, score=score)

    def _regressed(self, result: Any, *asked: Any) -> None:
        for value in self._inference.regress(*asked):
            result.regressions.add(value=value)

    def _multi(self, request: Any, call: Call) -> Any:
        if not request.tasks:
            raise InferenceError("INVALID_ARGUMENT", "Inference request has no tasks")
        refs = [_ref(task.model_spec) for task in request.tasks]
        if len(set(refs)) > 1:
            raise InferenceError(
                "INVALID_ARGUMENT", "All ModelSpecs in a MultiInferenceRequest must "
                "access the same model name and version",
            )  # fmt: skip
        names = [
            signature_or_default(t.model_spec.signature_name) for t in request.tasks
        ]
        if len(set(names)) < len(names):
            raise InferenceError(
                "INVALID_ARGUMENT", "Duplicate evaluation of a signature"
            )
        examples = examples_of_input(request.input)
        response = protos.MultiInferenceResponse()
        with self._inference.models.lease(refs[0]) as held:
            for task, name in zip(request.tasks, names, strict=True):
                added = response.results.add()
                asked = (call, held, name, examples)
                if task.method_name == CLASSIFY:
                    self._classified(added.classification_result, *asked)
                elif task.method_name == REGRESS:
                    self._regressed(added.regression_result, *asked)
                else:
                    raise InferenceError(
                        "UNIMPLEMENTED",
                        f"Unsupported signature method_name: {task.method_name[:80]}",
                    )
                _say(added.model_spec, refs[0], held[0], name)
        return response

    def _metadata(self, request: Any, call: Call) -> Any:
        ref = _ref(request.model_spec)
        fields = list(request.metadata_field)
        if not fields:
            raise InferenceError(
                "INVALID_ARGUMENT",
                "GetModelMetadataRequest must specify at least one metadata_field",
            )
        if set(fields) != {"signature_def"}:
            raise InferenceError(
                "INVALID_ARGUMENT",
                "Metadata field is not supported; ask for signature_def",
            )
        response = protos.GetModelMetadataResponse()
        with self._inference.models.lease(ref) as (version, session):
            _say(response.model_spec, ref, version, "")
            found = protos.SignatureDefMap()
            for name, signature in session.signatures.items():
                _describe(found.signature_def[name], signature)
        packed = response.metadata["signature_def"]
        packed.type_url = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
        packed.value = found.SerializeToString(deterministic=True)
        return response

    def _status(self, request: Any, call: Call) -> Any:
        ref = _ref(request.model_spec)
        response = protos.GetModelStatusResponse()
        versions = self._inference.models.model(ref)
        number = ref.version
        if ref.label is not None:
            number = versions.resolve(label=ref.label)
        for one in versions.statuses():
            if number in (None, one.version):
                added = response.model_version_status.add(version=one.version)
                added.state = _STATES[one.state]
                added.status.error_code = _CODES.get(one.error_code, 2)
                added.status.error_message = one.error_message
        if not response.model_version_status:
            what = "any versions" if number is None else f"version {number}"
            raise InferenceError(
                "NOT_FOUND", f"Could not find {what} of model {ref.name[:80]}"
            )
        return response

    def _reload_config(self, request: Any, call: Call) -> Any:
        response = protos.ReloadConfigResponse()
        code, message = "OK", ""
        try:
            self._reload(model_configs(request.config))
        except InputError as error:
            code, message = "INVALID_ARGUMENT", str(error)
        except InferenceError as error:
            code, message = error.code, str(error)
        response.status.error_code = _CODES[code]
        response.status.error_message = message
        return response

    def _health(self, service: str) -> int | None:
        """Serving or not; None for a service or model that is not known."""
        models = self._inference.models
        known = (PREDICTION_SERVICE, MODEL_SERVICE)
        names = models.names() if service in ("", *known) else [service]
        if not set(names) <= set(models.names()):
            return None
        ready = all(models.model(ModelRef(n)).current is not None for n in names)
        return _SERVING if ready and not self._ended.is_set() else _NOT_SERVING

    def _check(self, request: Any, call: Call) -> Any:
        status = self._health(request.service)
        if status is None:
            raise InferenceError("NOT_FOUND", "unknown service")
        return protos.HealthCheckResponse(status=status)

    def _watch(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        last: int | None = None
        while context.is_active():
            status = self._health(request.service) or 3  # SERVICE_UNKNOWN
            if status != last:
                yield protos.HealthCheckResponse(status=status)
            if self._ended.is_set():
                return
            last = status
            self._ended.wait(_WATCH_SECONDS)


def _model_of(request: Any) -> str:
    if hasattr(request, "tasks"):
        return request.tasks[0].model_spec.name if request.tasks else ""
    return request.model_spec.name if hasattr(request, "model_spec") else ""


def _serialised(message: Any) -> bytes:
    return message.SerializeToString()


def _describe(target: Any, signature: SignatureSpec) -> None:
    for name, spec in signature.inputs.items():
        _describe_tensor(target.inputs[name], spec)
    for name, spec in signature.outputs.items():
        _describe_tensor(target.outputs[name], spec)
    target.method_name = signature.method_name


def _describe_tensor(target: Any, spec: TensorSpec) -> None:
    target.name = spec.tensor
    target.dtype = NUMBERS.get(spec.dtype, 0)
    if spec.shape is None:
        target.tensor_shape.unknown_rank = True
    else:
        for size in spec.shape:
            target.tensor_shape.dim.add(size=size)
