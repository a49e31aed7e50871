"""TensorFlow's C API, bound by ctypes from the installed wheel.

It is the C++ runtime that TensorFlow Serving runs, with the same SavedModel loader,
reached without importing Python's TensorFlow. Source of the prototypes:
tensorflow/c/{c_api,tf_tensor,tf_tstring,tf_status,tf_buffer}.h, shipped in the wheel.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
from pathlib import Path

from claimpt_tf.errors import ArtifactError

STRING_BYTES = 24  # sizeof(TF_TString); all-zero bytes are a valid empty string

STATUS_NAMES = {
    0: "OK",
    1: "CANCELLED",
    2: "UNKNOWN",
    3: "INVALID_ARGUMENT",
    4: "DEADLINE_EXCEEDED",
    5: "NOT_FOUND",
    6: "ALREADY_EXISTS",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION",
    10: "ABORTED",
    11: "OUT_OF_RANGE",
    12: "UNIMPLEMENTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
    15: "DATA_LOSS",
    16: "UNAUTHENTICATED",
}

_p, _int, _size = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
_int64_p, _char_p = ctypes.POINTER(ctypes.c_int64), ctypes.c_char_p


class Output(ctypes.Structure):
    """TF_Output: an operation and the index of one of its outputs."""

    _fields_ = (("oper", ctypes.c_void_p), ("index", ctypes.c_int))


_PROTOTYPES: dict[str, tuple[object, tuple[object, ...]]] = {
    "TF_Version": (_char_p, ()),
    "TF_NewStatus": (_p, ()),
    "TF_DeleteStatus": (None, (_p,)),
    "TF_GetCode": (_int, (_p,)),
    "TF_Message": (_char_p, (_p,)),
    "TF_NewGraph": (_p, ()),
    "TF_DeleteGraph": (None, (_p,)),
    "TF_GraphOperationByName": (_p, (_p, _char_p)),
    "TF_OperationNumOutputs": (_int, (_p,)),
    "TF_NewSessionOptions": (_p, ()),
    "TF_DeleteSessionOptions": (None, (_p,)),
    "TF_SetConfig": (None, (_p, _char_p, _size, _p)),
    "TF_LoadSessionFromSavedModel": (
        _p,
        (_p, _p, _char_p, ctypes.POINTER(_char_p), _int, _p, _p, _p),
    ),
    "TF_SessionRun": (
        None,
        (_p, _p)
        + (ctypes.POINTER(Output), ctypes.POINTER(_p), _int)
        + (ctypes.POINTER(Output), ctypes.POINTER(_p), _int)
        + (_p, _int, _p, _p),
    ),
    "TF_CloseSession": (None, (_p, _p)),
    "TF_DeleteSession": (None, (_p, _p)),
    "TF_AllocateTensor": (_p, (_int, _int64_p, _int, _size)),
    "TF_DeleteTensor": (None, (_p,)),
    "TF_TensorType": (_int, (_p,)),
    "TF_NumDims": (_int, (_p,)),
    "TF_Dim": (ctypes.c_int64, (_p, _int)),
    "TF_TensorByteSize": (_size, (_p,)),
    "TF_TensorData": (_p, (_p,)),
    "TF_StringCopy": (None, (_p, _char_p, _size)),
    "TF_StringGetDataPointer": (_p, (_p,)),
    "TF_StringGetSize": (_size, (_p,)),
}


def _library(folder: Path, stem: str) -> Path:
    for pattern in (f"{stem}.so*", f"{stem}*.dylib"):
        for path in sorted(folder.glob(pattern)):
            return path
    raise ArtifactError(
        f"{folder}: no {stem} here; this TensorFlow installation does not ship the "
        "C++ runtime, install the tensorflow wheel named in the lock file"
    )


@functools.cache
def load() -> ctypes.CDLL:
    """The C API of the installed TensorFlow; loaded once a process.

    Raises:
        ArtifactError: TensorFlow is not installed, or without its C++ libraries.
    """
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.submodule_search_locations:
        raise ArtifactError(
            "tensorflow is not installed here; install the locked environment"
        )
    folder = Path(next(iter(spec.submodule_search_locations)))
    # The C++ side logs what it also returns as a status; the reader sees it once.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        ctypes.CDLL(
            str(_library(folder, "libtensorflow_framework")), ctypes.RTLD_GLOBAL
        )
        library = ctypes.CDLL(str(_library(folder, "libtensorflow_cc")))
        for name, (result, arguments) in _PROTOTYPES.items():
            function = getattr(library, name)
            function.restype = result
            function.argtypes = arguments
    except (OSError, AttributeError) as error:
        raise ArtifactError(
            f"{folder}: TensorFlow's C++ libraries do not load: {error}"
        ) from error
    return library


class Status:
    """A TF_Status that frees itself; use as a context manager."""

    def __init__(self, api: ctypes.CDLL) -> None:
        self._api = api

    def __enter__(self) -> Status:
        self.pointer = self._api.TF_NewStatus()
        return self

    def __exit__(self, *_: object) -> None:
        self._api.TF_DeleteStatus(self.pointer)

    @property
    def code(self) -> str:
        """The status' canonical name, `OK` when nothing went wrong."""
        number = self._api.TF_GetCode(self.pointer)
        return STATUS_NAMES.get(number, "UNKNOWN")

    @property
    def message(self) -> str:
        """What the runtime says, decoded leniently."""
        return self._api.TF_Message(self.pointer).decode("utf-8", "replace")
