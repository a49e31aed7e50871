"""A SavedModel in TensorFlow's C++ runtime, loaded as TensorFlow Serving loads it."""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from claimpt_tf.errors import ArtifactError
from claimpt_tf.serving import c_api, protos, tensor_types
from claimpt_tf.serving.errors import InferenceError, LoadError
from claimpt_tf.serving.saved_model import (
    SERVE_TAG,
    SignatureSpec,
    TensorSpec,
    read_saved_model,
)

# The example parser quotes the whole record it cannot read: that is health data.
_QUOTED_INPUT = re.compile(r"value: '.*", re.DOTALL)
# Where in the graph it happened, in names that are this model's alone.
_PLACE = re.compile(r"\{\{function_node [^}]*\}\}\s*")
_MESSAGE_LIMIT = 600


def _readable(message: str) -> str:
    told = _PLACE.sub("", _QUOTED_INPUT.sub("value withheld", message))
    first = told.split("\n\t [[")[0].strip()
    return first if len(first) <= _MESSAGE_LIMIT else first[:_MESSAGE_LIMIT] + " ..."


def as_array(name: str, spec: TensorSpec, value: Any) -> np.ndarray:
    """`value` as an array that a signature's input takes.

    Strings become object arrays of bytes (str is encoded as UTF-8). Numbers may
    change width but not kind: no float is cut to an integer.

    Raises:
        InferenceError: INVALID_ARGUMENT; the wrong kind or the wrong shape.
    """
    wanted = tensor_types.numpy_dtype(spec.dtype)
    try:
        array = np.asarray(value, dtype=object if spec.dtype == "string" else None)
    except ValueError as error:
        raise InferenceError(
            "INVALID_ARGUMENT", f"input {name} is ragged; pad it to one size"
        ) from error
    if spec.dtype == "string":
        flat = [v.encode() if isinstance(v, str) else v for v in array.ravel().tolist()]
        if not all(isinstance(v, bytes) for v in flat):
            raise InferenceError(
                "INVALID_ARGUMENT",
                f"input {name} takes strings in a rectangular array",
            )
        array = np.fromiter(flat, dtype=object, count=len(flat)).reshape(array.shape)
    else:
        if array.size and not np.can_cast(array.dtype, wanted, "same_kind"):
            raise InferenceError(
                "INVALID_ARGUMENT",
                f"input {name} takes {spec.dtype}, got {array.dtype}",
            )
        array = np.ascontiguousarray(array, dtype=wanted).reshape(array.shape)
    if not spec.accepts(array.shape):
        raise InferenceError(
            "INVALID_ARGUMENT",
            f"input {name} has the shape {list(array.shape)}, the model takes "
            f"{list(spec.shape or ())} (-1: any size)",
        )
    return array


class CppSession:
    """One loaded SavedModel; `run` may be called from many threads at once.

    The interpreter lock is free while the model runs. Close it, or use it as a
    context manager, to give the memory back.

    Args:
        path: a version folder, the one that holds saved_model.pb.
        threads: threads of one request; 1 runs it wholly in the thread that asks,
            and None leaves the choice to TensorFlow (one a core). The first session
            of a process decides for all.

    Raises:
        ArtifactError: not a SavedModel, or the loader refuses it; the message is
            the loader's own.

    Example:
        with CppSession("models/claimpt/1732000000") as model:
            scores = model.run("serving_default", {"examples": records})
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        self._session: int | None = None
        self._graph: int | None = None
        self.path = Path(path)
        self.spec = read_saved_model(path)
        self._api = c_api.load()
        self._load(threads)
        try:
            self._endpoints = {
                name: self._resolve(name, signature)
                for name, signature in self.spec.signatures.items()
            }
        except ArtifactError:
            self.close()
            raise

    @property
    def signatures(self) -> dict[str, SignatureSpec]:
        """The model's signatures by name."""
        return self.spec.signatures

    @property
    def runtime_version(self) -> str:
        """Version of the TensorFlow that runs the model."""
        return self._api.TF_Version().decode()

    def _load(self, threads: int | None) -> None:
        api = self._api
        options = api.TF_NewSessionOptions()
        self._graph = api.TF_NewGraph()
        tags = (ctypes.c_char_p * 1)(SERVE_TAG.encode())
        try:
            with c_api.Status(api) as status:
                asked = protos.SessionConfig(
                    intra_op_parallelism_threads=threads or 0,
                    # A negative number is TensorFlow's word for the caller's thread.
                    inter_op_parallelism_threads=-1 if threads == 1 else threads or 0,
                )
                graph = asked.graph_options
                # Grappler makes no request faster here, and the first one slower.
                graph.rewrite_options.disable_meta_optimizer = True
                # A call that stays one costs each request steps, and a signature's
                # first request most of a second: it is then optimised by itself.
                graph.optimizer_options.do_function_inlining = True
                config = asked.SerializeToString()
                api.TF_SetConfig(options, config, len(config), status.pointer)
                self._session = api.TF_LoadSessionFromSavedModel(
                    options,
                    None,
                    str(self.path).encode(),
                    tags,
                    1,
                    self._graph,
                    None,
                    status.pointer,
                )
                if status.code != "OK" or not self._session:
                    raise LoadError(
                        status.code,
                        f"{self.path}: TensorFlow's C++ loader refuses the model: "
                        f"{status.code}: {_readable(status.message)}",
                    )
        except ArtifactError:
            self.close()
            raise
        finally:
            api.TF_DeleteSessionOptions(options)

    def _resolve(
        self, name: str, signature: SignatureSpec
    ) -> tuple[list[c_api.Output], list[c_api.Output]]:
        def output(tensor: str) -> c_api.Output:
            operation, _, index = tensor.partition(":")
            found = self._api.TF_GraphOperationByName(self._graph, operation.encode())
            at = int(index or 0)
            if not found or at >= self._api.TF_OperationNumOutputs(found):
                raise ArtifactError(
                    f"{self.path}: the signature {name!r} names the tensor "
                    f"{tensor!r}, which its graph does not hold"
                )
            return c_api.Output(found, at)

        return (
            [output(spec.tensor) for spec in signature.inputs.values()],
            [output(spec.tensor) for spec in signature.outputs.values()],
        )

    def run(self, signature: str, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Runs a signature.

        Args:
            signature: its name.
            inputs: one array (or nested list) for each of the signature's inputs.

        Returns:
            An array for each of its outputs; strings as object arrays of bytes.

        Raises:
            InferenceError: unknown signature, missing or unknown input, wrong type
                or shape (INVALID_ARGUMENT), or whatever the model itself raises.
        """
        if self._session is None:
            raise InferenceError("UNAVAILABLE", "this model is closed")
        if signature not in self.signatures:
            raise InferenceError(
                "INVALID_ARGUMENT",
                f'Serving signature name: "{signature}" not found in signature def; '
                f"this model has {', '.join(self.signatures) or 'none'}",
            )
        spec = self.signatures[signature]
        if set(inputs) != set(spec.inputs):
            raise InferenceError(
                "INVALID_ARGUMENT",
                f"inputs of the signature {signature!r} must be equal to: "
                f"{', '.join(spec.inputs)}",
            )
        arrays = [as_array(name, s, inputs[name]) for name, s in spec.inputs.items()]
        feeds, fetches = self._endpoints[signature]
        api, n_in, n_out = self._api, len(feeds), len(fetches)
        feed_tensors = (ctypes.c_void_p * n_in)()
        fetch_tensors = (ctypes.c_void_p * n_out)()
        try:
            for i, (array, tensor) in enumerate(
                zip(arrays, spec.inputs.values(), strict=True)
            ):
                feed_tensors[i] = self._tensor(array, tensor.dtype)
            with c_api.Status(api) as status:
                api.TF_SessionRun(
                    self._session,
                    None,
                    (c_api.Output * n_in)(*feeds),
                    feed_tensors,
                    n_in,
                    (c_api.Output * n_out)(*fetches),
                    fetch_tensors,
                    n_out,
                    None,
                    0,
                    None,
                    status.pointer,
                )
                if status.code != "OK":
                    raise InferenceError(status.code, _readable(status.message))
            return {
                name: self._array(fetch_tensors[i])
                for i, name in enumerate(spec.outputs)
            }
        finally:
            # Outputs first: one may share an input's buffer, and the last reference
            # to a string buffer is the one that frees the strings.
            for tensor in (*fetch_tensors, *feed_tensors):
                if tensor:
                    api.TF_DeleteTensor(tensor)

    def _tensor(self, array: np.ndarray, dtype: str) -> int:
        api, shape = self._api, array.shape
        dims = (ctypes.c_int64 * len(shape))(*shape)
        text = dtype == "string"
        size = array.size * c_api.STRING_BYTES if text else array.nbytes
        tensor = api.TF_AllocateTensor(
            tensor_types.NUMBERS[dtype], dims, len(shape), size
        )
        if not tensor:
            raise InferenceError("RESOURCE_EXHAUSTED", "out of memory for the inputs")
        if not size:
            return tensor
        data = api.TF_TensorData(tensor)
        if not text:
            ctypes.memmove(data, array.ctypes.data, size)
            return tensor
        ctypes.memset(data, 0, size)
        copy, step = api.TF_StringCopy, c_api.STRING_BYTES
        for i, value in enumerate(array.ravel().tolist()):
            if value:
                copy(data + step * i, value, len(value))
        return tensor

    def _array(self, tensor: int | None) -> np.ndarray:
        api = self._api
        shape = tuple(api.TF_Dim(tensor, i) for i in range(api.TF_NumDims(tensor)))
        dtype = tensor_types.name_of(api.TF_TensorType(tensor))
        if dtype not in tensor_types.NUMBERS:
            raise InferenceError("UNIMPLEMENTED", f"outputs of {dtype} are not served")
        data = api.TF_TensorData(tensor)
        count = math.prod(shape)
        array = np.empty(count, dtype=tensor_types.numpy_dtype(dtype))
        if dtype != "string":
            if array.nbytes:
                ctypes.memmove(array.ctypes.data, data, array.nbytes)
            return array.reshape(shape)
        for i in range(count):
            at = data + c_api.STRING_BYTES * i
            array[i] = ctypes.string_at(
                api.TF_StringGetDataPointer(at), api.TF_StringGetSize(at)
            )
        return array.reshape(shape)

    def close(self) -> None:
        """Frees the session and its variables; safe to call twice."""
        session, self._session = self._session, None
        graph, self._graph = self._graph, None
        if session:
            with c_api.Status(self._api) as status:
                self._api.TF_CloseSession(session, status.pointer)
                self._api.TF_DeleteSession(session, status.pointer)
        if graph:
            self._api.TF_DeleteGraph(graph)

    def __enter__(self) -> CppSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
