"""TensorFlow's element types: their numbers, names and NumPy counterparts."""

from __future__ import annotations

import numpy as np

# DataType of tensorflow/core/framework/types.proto; the same numbers serve the C API.
NAMES: dict[int, str] = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    9: "int64",
    10: "bool",
    17: "uint16",
    19: "float16",
    22: "uint32",
    23: "uint64",
}
NUMBERS: dict[str, int] = {name: number for number, name in NAMES.items()}

_PROTO_NAMES = {"float32": "DT_FLOAT", "float64": "DT_DOUBLE", "float16": "DT_HALF"}


def name_of(number: int) -> str:
    """The NumPy-style name of a DataType number.

    >>> name_of(1), name_of(7), name_of(21)
    ('float32', 'string', 'type 21')
    """
    return NAMES.get(number, f"type {number}")


def proto_name(name: str) -> str:
    """The name that TensorFlow's protocol buffers print.

    >>> proto_name("float32"), proto_name("int64")
    ('DT_FLOAT', 'DT_INT64')
    """
    return _PROTO_NAMES.get(name, f"DT_{name.upper()}")


def numpy_dtype(name: str) -> np.dtype:
    """The dtype of arrays of that type; strings are object arrays of bytes.

    >>> numpy_dtype("int64"), numpy_dtype("string")
    (dtype('int64'), dtype('O'))
    """
    return np.dtype(object) if name == "string" else np.dtype(name)
