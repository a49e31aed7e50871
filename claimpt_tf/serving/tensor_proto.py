"""TensorProto, as requests and warm-up files carry it, to arrays and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from claimpt_tf.serving import tensor_types
from claimpt_tf.serving.errors import InferenceError

_MOST_VALUES = 50_000_000  # a shape may promise more than a request holds
_VALUE_FIELDS = {
    "string": "string_val",
    "float32": "float_val",
    "float64": "double_val",
    "int64": "int64_val",
    "int32": "int_val",
    "int16": "int_val",
    "int8": "int_val",
    "uint8": "int_val",
    "bool": "bool_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
}


def fill_tensor(tensor: Any, array: np.ndarray, dtype: str) -> None:
    """Writes an array to an empty TensorProto, as values of its type.

    Args:
        tensor: The message.
        array: Strings as objects of bytes.
        dtype: Element type by NumPy's name, `string` for bytes.

    Raises:
        InferenceError: UNIMPLEMENTED; a type that is not served.
    """
    if dtype not in _VALUE_FIELDS:
        raise InferenceError("UNIMPLEMENTED", f"tensors of {dtype} are not served")
    tensor.dtype = tensor_types.NUMBERS[dtype]
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    getattr(tensor, _VALUE_FIELDS[dtype]).extend(array.ravel().tolist())


def read_tensor(tensor: Any) -> np.ndarray:
    """The array of a TensorProto.

    Raises:
        InferenceError: INVALID_ARGUMENT; an unknown type, or values that do not fill
            the shape.
    """
    dtype = tensor_types.name_of(tensor.dtype)
    if dtype not in _VALUE_FIELDS:
        raise InferenceError(
            "INVALID_ARGUMENT", f"tensors of {dtype} are not supported"
        )
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    count = 1
    for size in shape:
        count *= size
    if min(shape, default=0) < 0 or tensor.tensor_shape.unknown_rank:
        raise InferenceError("INVALID_ARGUMENT", "a tensor's shape is not known")
    if count > _MOST_VALUES:
        raise InferenceError("INVALID_ARGUMENT", "a tensor has too many values")
    values: np.ndarray
    if tensor.tensor_content and dtype != "string":
        numpy_type = tensor_types.numpy_dtype(dtype)
        if len(tensor.tensor_content) != count * numpy_type.itemsize:
            raise _does_not_fill()
        values = np.frombuffer(tensor.tensor_content, numpy_type)
    else:
        listed = list(getattr(tensor, _VALUE_FIELDS[dtype]))
        # TensorFlow writes a constant tensor as its first value alone.
        if listed and len(listed) < count:
            listed += [listed[-1]] * (count - len(listed))
        if len(listed) != count:
            raise _does_not_fill()
        values = np.empty(count, dtype=tensor_types.numpy_dtype(dtype))
        values[:] = listed
    return values.reshape(shape)


def _does_not_fill() -> InferenceError:
    return InferenceError("INVALID_ARGUMENT", "a tensor's values do not fill its shape")
