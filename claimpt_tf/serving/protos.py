"""The protocol buffers that serving speaks, without importing TensorFlow.

TensorFlow's own generated classes come only with `import tensorflow`, which costs
10-20 s and 400 MB; a server that runs the C++ runtime needs neither. The messages
below carry the field numbers of TensorFlow's and TensorFlow Serving's published
.proto files, in a private descriptor pool, so they cannot clash with the originals
when both are loaded. Fields that serving does not read are left out; the parser
skips them.

Sources: tensorflow/core/protobuf/saved_model.proto, meta_graph.proto, config.proto,
tensorflow/core/framework/{graph,function,tensor,tensor_shape}.proto,
tensorflow/core/example/{example,feature}.proto, tensorflow_serving/apis/*.proto,
tensorflow_serving/config/model_server_config.proto, tensorflow_serving/servables/
tensorflow/session_bundle_config.proto, grpc/health/v1/health.proto.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "claimpt.serving"
_SCALARS = {
    "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
    "bytes": descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
    "double": descriptor_pb2.FieldDescriptorProto.TYPE_DOUBLE,
    "float": descriptor_pb2.FieldDescriptorProto.TYPE_FLOAT,
    "int32": descriptor_pb2.FieldDescriptorProto.TYPE_INT32,
    "int64": descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    "uint32": descriptor_pb2.FieldDescriptorProto.TYPE_UINT32,
    "uint64": descriptor_pb2.FieldDescriptorProto.TYPE_UINT64,
}

# message -> field -> (number, type); "T*" is repeated, "map T" is map<string, T>.
# Enums stand as int32, which is how they travel.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "Dim": {"size": (1, "int64")},
    "Shape": {"dim": (2, "Dim*"), "unknown_rank": (3, "bool")},
    "TensorInfo": {
        "name": (1, "string"),
        "dtype": (2, "int32"),
        "tensor_shape": (3, "Shape"),
    },
    "Signature": {
        "inputs": (1, "map TensorInfo"),
        "outputs": (2, "map TensorInfo"),
        "method_name": (3, "string"),
    },
    "Node": {"name": (1, "string"), "op": (2, "string")},
    "FunctionSignature": {"name": (1, "string")},
    "Function": {"signature": (1, "FunctionSignature"), "node_def": (3, "Node*")},
    "Library": {"function": (1, "Function*")},
    "Graph": {"node": (1, "Node*"), "library": (2, "Library")},
    "MetaInfo": {"tags": (4, "string*"), "tensorflow_version": (5, "string")},
    "MetaGraph": {
        "meta_info_def": (1, "MetaInfo"),
        "graph_def": (2, "Graph"),
        "signature_def": (5, "map Signature"),
    },
    "SavedModel": {"meta_graphs": (2, "MetaGraph*")},
    "SessionConfig": {
        "intra_op_parallelism_threads": (2, "int32"),
        "inter_op_parallelism_threads": (5, "int32"),
        "graph_options": (10, "GraphOptions"),
    },
    "GraphOptions": {
        "optimizer_options": (3, "OptimizerOptions"),
        "rewrite_options": (10, "RewriterConfig"),
    },
    "OptimizerOptions": {"do_function_inlining": (4, "bool")},
    "RewriterConfig": {"disable_meta_optimizer": (19, "bool")},
    "Tensor": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, "Shape"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "float*"),
        "double_val": (6, "double*"),
        "int_val": (7, "int32*"),
        "string_val": (8, "bytes*"),
        "int64_val": (10, "int64*"),
        "bool_val": (11, "bool*"),
        "uint32_val": (16, "uint32*"),
        "uint64_val": (17, "uint64*"),
    },
    "Int64Value": {"value": (1, "int64")},
    "Any": {"type_url": (1, "string"), "value": (2, "bytes")},
    "ModelSpec": {
        "name": (1, "string"),
        "version": (2, "Int64Value"),
        "signature_name": (3, "string"),
        "version_label": (4, "string"),
    },
    "PredictRequest": {
        "model_spec": (1, "ModelSpec"),
        "inputs": (2, "map Tensor"),
        "output_filter": (3, "string*"),
    },
    "PredictResponse": {"outputs": (1, "map Tensor"), "model_spec": (2, "ModelSpec")},
    "PredictLog": {"request": (1, "PredictRequest")},
    "ClassifyLog": {"request": (1, "ClassificationRequest")},
    "RegressLog": {"request": (1, "RegressionRequest")},
    "PredictionLog": {
        "classify_log": (2, "ClassifyLog"),
        "regress_log": (3, "RegressLog"),
        "predict_log": (6, "PredictLog"),
    },
    # Examples stay serialised: on the wire a message is its bytes.
    "ExampleList": {"examples": (1, "bytes*")},
    "ExampleListWithContext": {"examples": (1, "bytes*"), "context": (2, "bytes")},
    "Input": {
        "example_list": (1, "ExampleList"),
        "example_list_with_context": (2, "ExampleListWithContext"),
    },
    "ClassificationRequest": {"model_spec": (1, "ModelSpec"), "input": (2, "Input")},
    "Class": {"label": (1, "string"), "score": (2, "float")},
    "Classifications": {"classes": (1, "Class*")},
    "ClassificationResult": {"classifications": (1, "Classifications*")},
    "ClassificationResponse": {
        "result": (1, "ClassificationResult"),
        "model_spec": (2, "ModelSpec"),
    },
    "RegressionRequest": {"model_spec": (1, "ModelSpec"), "input": (2, "Input")},
    "Regression": {"value": (1, "float")},
    "RegressionResult": {"regressions": (1, "Regression*")},
    "RegressionResponse": {
        "result": (1, "RegressionResult"),
        "model_spec": (2, "ModelSpec"),
    },
    "InferenceTask": {"model_spec": (1, "ModelSpec"), "method_name": (2, "string")},
    "InferenceResult": {
        "model_spec": (1, "ModelSpec"),
        "classification_result": (2, "ClassificationResult"),
        "regression_result": (3, "RegressionResult"),
    },
    "MultiInferenceRequest": {"tasks": (1, "InferenceTask*"), "input": (2, "Input")},
    "MultiInferenceResponse": {"results": (1, "InferenceResult*")},
    "GetModelMetadataRequest": {
        "model_spec": (1, "ModelSpec"),
        "metadata_field": (2, "string*"),
    },
    "GetModelMetadataResponse": {
        "model_spec": (1, "ModelSpec"),
        "metadata": (2, "map Any"),
    },
    "SignatureDefMap": {"signature_def": (1, "map Signature")},
    "Status": {"error_code": (1, "int32"), "error_message": (2, "string")},
    "GetModelStatusRequest": {"model_spec": (1, "ModelSpec")},
    "ModelVersionStatus": {
        "version": (1, "int64"),
        "state": (2, "int32"),
        "status": (3, "Status"),
    },
    "GetModelStatusResponse": {"model_version_status": (1, "ModelVersionStatus*")},
    "LatestPolicy": {"num_versions": (1, "uint32")},
    "AllPolicy": {},
    "SpecificPolicy": {"versions": (1, "int64*")},
    "VersionPolicy": {
        "latest": (100, "LatestPolicy"),
        "all": (101, "AllPolicy"),
        "specific": (102, "SpecificPolicy"),
    },
    "ModelConfig": {
        "name": (1, "string"),
        "base_path": (2, "string"),
        "model_platform": (4, "string"),
        "model_version_policy": (7, "VersionPolicy"),
        "version_labels": (8, "map int64"),
    },
    "ModelConfigList": {"config": (1, "ModelConfig*")},
    "ModelServerConfig": {
        "model_config_list": (1, "ModelConfigList"),
        "custom_model_config": (2, "Any"),
    },
    "ReloadConfigRequest": {
        "config": (1, "ModelServerConfig"),
        "metric_names": (2, "string*"),
    },
    "ReloadConfigResponse": {"status": (1, "Status")},
    "BatchingParameters": {
        "max_batch_size": (1, "Int64Value"),
        "batch_timeout_micros": (2, "Int64Value"),
        "max_enqueued_batches": (3, "Int64Value"),
        "num_batch_threads": (4, "Int64Value"),
        "allowed_batch_sizes": (6, "int64*"),
        "pad_variable_length_inputs": (7, "bool"),
    },
    "HealthCheckRequest": {"service": (1, "string")},
    "HealthCheckResponse": {"status": (1, "int32")},
    "BytesList": {"value": (1, "bytes*")},
    "FloatList": {"value": (1, "float*")},
    "Int64List": {"value": (1, "int64*")},
    "Feature": {
        "bytes_list": (1, "BytesList"),
        "float_list": (2, "FloatList"),
        "int64_list": (3, "Int64List"),
    },
    "Features": {"feature": (1, "map Feature")},
    "Example": {"features": (1, "Features")},
}


def _set_type(field: descriptor_pb2.FieldDescriptorProto, kind: str) -> None:
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{kind}"


def _describe() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="claimpt/serving.proto", package=_PACKAGE, syntax="proto3"
    )
    for message_name, fields in _MESSAGES.items():
        message = file.message_type.add(name=message_name)
        for name, (number, kind) in fields.items():
            field = message.field.add(name=name, number=number)
            repeated = kind.endswith("*") or kind.startswith("map ")
            field.label = (
                descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
                if repeated
                else descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
            )
            if not kind.startswith("map "):
                _set_type(field, kind.rstrip("*"))
                continue
            entry_name = name.title().replace("_", "") + "Entry"
            entry = message.nested_type.add(name=entry_name)
            entry.options.map_entry = True
            for part, number_, part_kind in (("key", 1, "string"), ("value", 2, kind)):
                part_field = entry.field.add(name=part, number=number_)
                part_field.label = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
                _set_type(part_field, part_kind.removeprefix("map "))
            _set_type(field, f"{message_name}.{entry_name}")
    return file


_POOL = descriptor_pool.DescriptorPool()
_POOL.AddSerializedFile(_describe().SerializeToString())


def _message_class(name: str) -> Any:
    descriptor = _POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}")
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    # protobuf 3, which TensorFlow 2.16's stack pins, knows only the factory object.
    return message_factory.MessageFactory(_POOL).GetPrototype(descriptor)


SavedModel = _message_class("SavedModel")
SessionConfig = _message_class("SessionConfig")
PredictionLog = _message_class("PredictionLog")
PredictRequest = _message_class("PredictRequest")
PredictResponse = _message_class("PredictResponse")
Input = _message_class("Input")
ClassificationRequest = _message_class("ClassificationRequest")
ClassificationResponse = _message_class("ClassificationResponse")
RegressionRequest = _message_class("RegressionRequest")
RegressionResponse = _message_class("RegressionResponse")
MultiInferenceRequest = _message_class("MultiInferenceRequest")
MultiInferenceResponse = _message_class("MultiInferenceResponse")
GetModelMetadataRequest = _message_class("GetModelMetadataRequest")
GetModelMetadataResponse = _message_class("GetModelMetadataResponse")
SignatureDefMap = _message_class("SignatureDefMap")
GetModelStatusRequest = _message_class("GetModelStatusRequest")
GetModelStatusResponse = _message_class("GetModelStatusResponse")
ReloadConfigRequest = _message_class("ReloadConfigRequest")
ReloadConfigResponse = _message_class("ReloadConfigResponse")
ModelServerConfig = _message_class("ModelServerConfig")
BatchingParameters = _message_class("BatchingParameters")
HealthCheckRequest = _message_class("HealthCheckRequest")
HealthCheckResponse = _message_class("HealthCheckResponse")
Example = _message_class("Example")
