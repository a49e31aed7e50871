"""tf.Example records of classify and regress requests, in JSON or as messages."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from claimpt_tf.serving import protos
from claimpt_tf.serving.errors import InferenceError

_LEAST, _MOST = -(2**63), 2**63 - 1
_LARGEST_FLOAT = 3.4028235e38


def _invalid(message: str) -> InferenceError:
    return InferenceError("INVALID_ARGUMENT", message)


def examples_of_input(message: Any) -> list[bytes]:
    """The serialised examples of an `Input` message, its context merged into each.

    Raises:
        InferenceError: INVALID_ARGUMENT; there is none.
    """
    if message.HasField("example_list"):
        examples = list(message.example_list.examples)
    elif message.HasField("example_list_with_context"):
        given = message.example_list_with_context
        # Serialised messages merge by concatenation; what comes last counts.
        examples = [given.context + one for one in given.examples]
    else:
        raise _invalid("Input is empty.")
    if not examples:
        raise _invalid("Input is empty.")
    return examples


def examples_of_json(document: Mapping[str, Any]) -> tuple[str, list[bytes]]:
    """The signature and the examples of a `:classify` or `:regress` body.

    Raises:
        InferenceError: INVALID_ARGUMENT; the place is named, the value never.
    """
    signature = document.get("signature_name", "")
    if not isinstance(signature, str):
        raise _invalid("'signature_name' key must be a string value.")
    examples = document.get("examples")
    if not isinstance(examples, list):
        raise _invalid("When method is classify or regress, key 'examples' is expected")
    if not examples:
        raise _invalid("Examples array in the request is empty.")
    context = b""
    if "context" in document:
        context = _example(document["context"], "'context'")
    return signature, [
        context + _example(one, f"item {at} of 'examples'")
        for at, one in enumerate(examples)
    ]


def _example(value: object, where: str) -> bytes:
    if not isinstance(value, Mapping):
        raise _invalid(f"Example must be JSON object at {where}")
    example = protos.Example()
    for name, given in value.items():
        values = given if isinstance(given, list) else [given]
        _fill(example.features.feature[name], values, f"feature {name[:80]} of {where}")
    return example.SerializeToString()


def _fill(feature: Any, values: list[Any], where: str) -> None:
    numbers = [v for v in values if isinstance(v, int | float) and type(v) is not bool]
    if values and len(numbers) == len(values):
        if all(isinstance(v, int) for v in numbers):
            if not all(_LEAST <= v <= _MOST for v in numbers):
                raise _invalid(f"a whole number is too large in {where}")
            feature.int64_list.value.extend(numbers)
            return
        if any(abs(v) > _LARGEST_FLOAT and abs(v) != float("inf") for v in numbers):
            raise _invalid(f"a number is too large in {where}")
        feature.float_list.value.extend(numbers)
        return
    if numbers:
        raise _invalid(f"mixes numbers and strings: {where}")
    feature.bytes_list.value.extend(_bytes(v, where) for v in values)


def _bytes(value: object, where: str) -> bytes:
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:
            raise _invalid(f"not valid Unicode text in {where}") from None
    if isinstance(value, Mapping) and set(value) == {"b64"}:
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError, TypeError):
            raise _invalid(f"Unable to base64 decode in {where}") from None
    raise _invalid(f"takes strings, numbers, b64 objects, or lists of one: {where}")
