"""TensorFlow Serving's JSON for predict requests: tensors in, tensors out.

Follows tensorflow.org/tfx/serving/api_rest (row format `instances`, column format
`inputs`, `{"b64": ...}` for bytes, NaN and Infinity as bare words). Messages are
worded as TensorFlow Serving's, except that they never repeat a value: values are
health data, and error bodies end up in logs.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from claimpt_tf.serving import tensor_types
from claimpt_tf.serving.errors import InferenceError
from claimpt_tf.serving.saved_model import (
    DEFAULT_SIGNATURE,
    SignatureSpec,
    TensorSpec,
)

_BYTES_SUFFIX = "_bytes"
_MAX_RANK = 32  # NumPy 1's limit; no model of ours comes near it


@dataclass(frozen=True)
class PredictCall:
    """A parsed predict request.

    `by_row` says in which of the two formats it came, and so its answer goes.
    """

    signature: str
    inputs: dict[str, np.ndarray]
    by_row: bool


def _invalid(message: str) -> InferenceError:
    return InferenceError("INVALID_ARGUMENT", message)


def _type_name(value: object) -> str:
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return "True" if value else "False"
    for kind, name in (
        (dict, "Object"),
        (list, "Array"),
        (str, "String"),
    ):
        if isinstance(value, kind):
            return name
    return "Number"


def _type_error(value: object, dtype: str) -> InferenceError:
    return _invalid(
        f"JSON Value of Type: {_type_name(value)} is not of expected type: {dtype}"
    )


def _is_b64(value: object) -> bool:
    return (
        isinstance(value, dict)
        and len(value) == 1
        and isinstance(value.get("b64"), str)
    )


def _to_bytes(value: object) -> bytes:
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:
            raise _invalid("JSON Value is not valid Unicode text") from None
    if isinstance(value, dict):
        if not _is_b64(value):
            raise _invalid("JSON Value not formatted correctly for base64 data")
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError):
            raise _invalid("Unable to base64 decode") from None
    raise _type_error(value, "string")


def _to_bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise _type_error(value, "bool")
    return value


def _to_int(dtype: str) -> Callable[[object], int]:
    limits = np.iinfo(dtype)
    low, high = int(limits.min), int(limits.max)

    def convert(value: object) -> int:
        if type(value) is not int or not low <= value <= high:
            raise _type_error(value, dtype)
        return value

    return convert


def _to_float(dtype: str) -> Callable[[object], float]:
    limits = np.finfo(dtype)
    largest, exact = float(limits.max), 2 ** (limits.nmant + 1) - 1

    def convert(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _type_error(value, dtype)
        if isinstance(value, int):
            lossless = abs(value) <= exact
        else:
            lossless = not math.isfinite(value) or abs(value) <= largest
        if not lossless:
            raise _invalid(
                f"Cannot convert JSON value to {dtype} without loss of precision."
            )
        return float(value)

    return convert


def _converter(dtype: str) -> Callable[[object], Any]:
    if dtype == "string":
        return _to_bytes
    if dtype == "bool":
        return _to_bool
    if dtype.startswith(("int", "uint")):
        return _to_int(dtype)
    if dtype in ("float32", "float64"):
        return _to_float(dtype)
    raise InferenceError("UNIMPLEMENTED", f"Conversion of JSON Value to type: {dtype}")


def _shape_of(value: object) -> tuple[int, ...]:
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    if len(shape) > _MAX_RANK:
        raise _invalid(f"a tensor has at most {_MAX_RANK} dimensions")
    return tuple(shape)


def _collect(
    value: Any,
    level: int,
    shape: tuple[int, ...],
    convert: Callable[[object], Any],
    out: list[Any],
) -> None:
    rank = len(shape)
    if not isinstance(value, list):
        if level != rank:
            raise _invalid(
                f"JSON Value found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {rank}"
            )
        out.append(convert(value))
        return
    if level >= rank:
        raise _invalid(
            f"Encountered list at unexpected level: {level} expected < {rank}"
        )
    if len(value) != shape[level]:
        raise _invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}; pad every list to one size"
        )
    for item in value:
        _collect(item, level + 1, shape, convert, out)


def _tensor(value: object, spec: TensorSpec) -> np.ndarray:
    shape = _shape_of(value)
    flat: list[Any] = []
    _collect(value, 0, shape, _converter(spec.dtype), flat)
    dtype = tensor_types.numpy_dtype(spec.dtype)
    return np.fromiter(flat, dtype=dtype, count=len(flat)).reshape(shape)


def _is_named(element: object) -> bool:
    return isinstance(element, dict) and not _is_b64(element)


def _from_rows(rows: object, specs: Mapping[str, TensorSpec]) -> dict[str, np.ndarray]:
    if not isinstance(rows, list):
        raise _invalid("Expecting 'instances' to be an list/array")
    if not rows:
        raise _invalid("No values in 'instances' array")
    named = _is_named(rows[0])
    if not named and len(specs) > 1:
        raise _invalid(
            "instances is a plain list, but expecting list of objects as multiple "
            f"input tensors required: {','.join(specs)}"
        )
    columns: dict[str, list[np.ndarray]] = {name: [] for name in specs}
    for at, row in enumerate(rows):
        if named != _is_named(row):
            wanted, got = ("object", "list") if named else ("value/list", "object")
            raise _invalid(
                f"Expecting {wanted} but got {got} at item {at} of input list"
            )
        if named and set(row) != set(specs):
            raise _invalid(
                f"Failed to process element: {at} of 'instances' list. JSON object: "
                f"keys must be equal to: {','.join(specs)}"
            )
        for name, spec in specs.items():
            try:
                tensor = _tensor(row[name] if named else row, spec)
                if columns[name] and tensor.shape != columns[name][0].shape:
                    raise _invalid(
                        f"Expecting shape {list(columns[name][0].shape)} but got: "
                        f"{list(tensor.shape)}; pad every instance to one size"
                    )
            except InferenceError as error:
                key = f" key: {name}" if named else ""
                raise InferenceError(
                    error.code,
                    f"Failed to process element: {at}{key} of 'instances' list. "
                    f"Error: {error.code}: {error}",
                ) from None
            columns[name].append(tensor)
    return {name: np.stack(tensors) for name, tensors in columns.items()}


def _from_columns(
    inputs: object, specs: Mapping[str, TensorSpec]
) -> dict[str, np.ndarray]:
    if not isinstance(inputs, dict) or _is_b64(inputs):
        if len(specs) > 1:
            raise _invalid(
                "inputs is a plain value/list, but expecting an object as multiple "
                f"input tensors required: {','.join(specs)}"
            )
        ((name, spec),) = specs.items()
        return {name: _tensor(inputs, spec)}
    missing = [name for name in specs if name not in inputs]
    if missing:
        raise _invalid(f"Missing named input: {missing[0]} in 'inputs' object.")
    tensors = {}
    for name, spec in specs.items():
        try:
            tensors[name] = _tensor(inputs[name], spec)
        except InferenceError as error:
            raise InferenceError(error.code, f"input {name}: {error}") from None
    return tensors


def load_json(body: bytes) -> dict[str, Any]:
    """The object of a request's body.

    Raises:
        InferenceError: INVALID_ARGUMENT; no such JSON.
    """
    if not body:
        raise _invalid("JSON Parse error: The document is empty")
    try:
        document = json.loads(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise _invalid(
            f"JSON Parse error: not UTF-8 text at offset: {error.start}"
        ) from None
    except json.JSONDecodeError as error:
        raise _invalid(
            f"JSON Parse error: {error.msg} at offset: {error.pos}"
        ) from None
    except RecursionError:
        raise _invalid("JSON Parse error: nested too deeply") from None
    except ValueError:
        raise _invalid("JSON Parse error: a number is too long") from None
    if not isinstance(document, dict):
        raise _invalid(f"JSON Value of Type: {_type_name(document)} Is not object")
    return document


def parse_predict_request(
    body: bytes, signatures: Mapping[str, SignatureSpec]
) -> PredictCall:
    """Reads the body of a `:predict` call.

    Args:
        body: UTF-8 JSON with `instances` or `inputs`, and maybe `signature_name`.
        signatures: the model's.

    Raises:
        InferenceError: INVALID_ARGUMENT and what is wrong, without any value.
    """
    document = load_json(body)
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise _invalid("'signature_name' key must be a string value.")
    name = name or DEFAULT_SIGNATURE
    if name not in signatures:
        raise _invalid(
            f'Serving signature name: "{name[:80]}" not found in signature def; '
            f"this model has {', '.join(signatures) or 'none'}"
        )
    specs = signatures[name].inputs
    if "instances" in document and "inputs" in document:
        raise _invalid(
            "Not formatted correctly expecting only one of 'inputs' or 'instances' "
            "keys to exist"
        )
    if "instances" in document:
        return PredictCall(name, _from_rows(document["instances"], specs), True)
    if "inputs" in document:
        return PredictCall(name, _from_columns(document["inputs"], specs), False)
    raise _invalid("Missing 'inputs' or 'instances' key")


def _to_json(name: str, array: np.ndarray) -> Any:
    flat: list[Any]
    if array.dtype == object:
        if name.endswith(_BYTES_SUFFIX):
            flat = [{"b64": base64.b64encode(v).decode()} for v in array.ravel()]
        else:
            flat = [v.decode("utf-8", "replace") for v in array.ravel()]
    elif array.dtype in (np.float16, np.float32):
        # Through text, so that 0.2 is not answered as 0.20000000298023224.
        flat = [float(str(v)) for v in array.ravel()]
    else:
        flat = array.ravel().tolist()
    nested = np.empty(len(flat), dtype=object)
    nested[:] = flat
    return nested.reshape(array.shape).tolist()


def format_predict_response(
    outputs: Mapping[str, np.ndarray], by_row: bool
) -> dict[str, Any]:
    """The JSON object that answers a predict call.

    One output stands without its name; `by_row` gives `predictions`, one entry an
    instance, else `outputs`, one entry a tensor.

    Raises:
        InferenceError: INVALID_ARGUMENT; the outputs have no common batch size, so
            that no row format exists (ask in column format).

    >>> scores = {"probability": np.array([0.25, 0.5], "float32")}
    >>> format_predict_response(scores, by_row=True)
    {'predictions': [0.25, 0.5]}
    >>> format_predict_response({**scores, "n": np.array([1, 2])}, by_row=True)
    {'predictions': [{'probability': 0.25, 'n': 1}, {'probability': 0.5, 'n': 2}]}
    """
    if by_row:
        sizes = {array.shape[:1] for array in outputs.values()}
        if len(sizes) != 1 or () in sizes:
            raise _invalid(
                "the outputs have no common batch size; send the inputs in column "
                "format ('inputs')"
            )
    columns = {name: _to_json(name, array) for name, array in outputs.items()}
    single = len(columns) == 1
    if not by_row:
        return {"outputs": next(iter(columns.values())) if single else columns}
    if single:
        return {"predictions": next(iter(columns.values()))}
    rows = zip(*columns.values(), strict=True)
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}
