from __future__ import annotations

import base64
import json
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claimpt_tf.serving.errors import InferenceError
from claimpt_tf.serving.rest_format import (
    format_predict_response,
    parse_predict_request,
)
from claimpt_tf.serving.saved_model import SignatureSpec, TensorSpec

OUT = {"probability": TensorSpec("p:0", "float32", (-1,))}
SIGNATURES = {
    "serving_default": SignatureSpec(
        {"examples": TensorSpec("e:0", "string", (-1,))}, OUT, ""
    ),
    "mixed": SignatureSpec(
        {
            "codes": TensorSpec("c:0", "string", (-1, -1, -1)),
            "cost": TensorSpec("f:0", "float32", (-1, -1)),
            "days": TensorSpec("d:0", "int64", (-1, -1)),
            "known": TensorSpec("b:0", "bool", (-1,)),
        },
        OUT,
        "",
    ),
}
ROW = {"codes": [["A:1", "B:2"]], "cost": [1.5], "days": [3], "known": True}


def parse(document: Any) -> Any:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return parse_predict_request(body, SIGNATURES)


def mixed(*rows: Any, **changes: Any) -> dict[str, Any]:
    return {
        "signature_name": "mixed",
        "instances": [{**row, **changes} for row in rows or (ROW,)],
    }


def test_rows_and_columns_give_the_same_tensors() -> None:
    rows = parse(mixed(ROW, ROW))
    columns = parse(
        {
            "signature_name": "mixed",
            "inputs": {name: [value, value] for name, value in ROW.items()},
        }
    )
    assert rows.by_row and not columns.by_row
    assert rows.signature == columns.signature == "mixed"
    for name, array in rows.inputs.items():
        np.testing.assert_array_equal(array, columns.inputs[name])
        assert array.dtype == columns.inputs[name].dtype
    assert rows.inputs["codes"].shape == (2, 1, 2)
    assert rows.inputs["codes"][0, 0, 0] == b"A:1"
    assert rows.inputs["cost"].dtype == np.float32


@pytest.mark.parametrize(
    "document",
    [
        {"instances": ["one", {"b64": base64.b64encode(b"\xff\0").decode()}]},
        {"instances": [{"examples": "one"}, {"examples": {"b64": "/wA="}}]},
        {"inputs": ["one", {"b64": "/wA="}]},
        {"inputs": {"examples": ["one", {"b64": "/wA="}]}},
    ],
)
def test_one_input_needs_no_name(document: dict[str, Any]) -> None:
    assert parse(document).inputs["examples"].tolist() == [b"one", b"\xff\0"]


def test_infinities_and_a_byte_order_mark() -> None:
    body = json.dumps(mixed(cost=[float("nan")])).encode("utf-8-sig")
    assert np.isnan(parse(body).inputs["cost"]).all()
    assert np.isinf(parse(mixed(cost=[float("-inf")])).inputs["cost"]).all()


BAD = [
    (b"", "JSON Parse error: The document is empty"),
    (b"{", "JSON Parse error: Expecting property name"),
    (b"\xff{}", "JSON Parse error: not UTF-8 text at offset: 0"),
    (b"[" * 100_000, "JSON Parse error: nested too deeply"),
    (b'{"instances": [1' + b"0" * 9000 + b"]}", "is too long|not of expected type"),
    ([1], "JSON Value of Type: Array Is not object"),
    ({}, "Missing 'inputs' or 'instances' key"),
    ({"instances": [], "inputs": []}, "expecting only one of 'inputs' or 'instances'"),
    ({"instances": {}}, "Expecting 'instances' to be an list"),
    ({"instances": []}, "No values in 'instances' array"),
    ({"instances": ["a"], "signature_name": 3}, "must be a string value"),
    ({"instances": ["a"], "signature_name": "no"}, '"no" not found in signature def'),
    ({"instances": ["a", {"examples": "b"}]}, "value/list but got object at item 1"),
    ({"instances": [{"examples": "b"}, "a"]}, "object but got list at item 1"),
    (
        {"instances": [{"example": "b"}]},
        "element: 0 .* keys must be equal to: examples",
    ),
    ({"instances": [3]}, "element: 0 of .* Type: Number is not of .* type: string"),
    ({"instances": [None]}, "Type: Null is not of expected type: string"),
    ({"instances": [{"b64": "%%"}]}, "Unable to base64 decode"),
    ({"instances": [["a"], ["a", "b"]]}, r"Expecting shape \[1\] but got: \[2\]"),
    (b'{"instances": ["\\ud800"]}', "not valid Unicode"),
    ({"signature_name": "mixed", "instances": ["a"]}, "plain list, but expecting list"),
    ({"signature_name": "mixed", "inputs": ["a"]}, "expecting an object as multiple"),
    ({"signature_name": "mixed", "inputs": {}}, "Missing named input: codes"),
    (mixed(codes=[["a"], ["a", "b"]]), "key: codes of .* size: 2 at level: 1 .*: 1"),
    (mixed(codes=[["a", ["b"]]]), "list at unexpected level: 2 expected < 2"),
    (mixed(codes=[["a"], "b"]), "incorrect level: 2 .* Expected at level: 2"),
    (mixed(codes=[[{"a": 1}]]), "not formatted correctly for base64"),
    (mixed(ROW, {**ROW, "cost": [1, 2]}), r"element: 1 .* shape \[1\] but got: \[2\]"),
    (mixed(days=[1.0]), "Type: Number is not of expected type: int64"),
    (mixed(days=[2**63]), "Type: Number is not of expected type: int64"),
    (mixed(days=[True]), "Type: True is not of expected type: int64"),
    (mixed(days=["1"]), "Type: String is not of expected type: int64"),
    (mixed(cost=[1e300]), "float32 without loss of precision"),
    (mixed(cost=[2**24]), "float32 without loss of precision"),
    (mixed(cost=[10**400]), "float32 without loss of precision"),
    (mixed(known=1), "Type: Number is not of expected type: bool"),
]


@pytest.mark.parametrize(("document", "message"), BAD, ids=range(len(BAD)))
def test_bad_requests(document: Any, message: str) -> None:
    with pytest.raises(InferenceError) as caught:
        parse(document)
    assert caught.value.code == "INVALID_ARGUMENT"
    assert re.search(message, str(caught.value))


def test_messages_never_repeat_a_value() -> None:
    for days in (["J4540"], {"J4540": 1}, [["J4540"]], "J4540"):
        with pytest.raises(InferenceError) as caught:
            parse(mixed(days=days))
        assert "J4540" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["b64", "codes", "x"]), inner, max_size=2)
    ),
    max_leaves=12,
)
REQUEST = st.fixed_dictionaries(
    {},
    optional={
        "signature_name": st.sampled_from(["mixed", "serving_default", "", "x"]) | JSON,
        "instances": JSON
        | st.lists(
            st.fixed_dictionaries({name: JSON | st.just(ROW[name]) for name in ROW}),
            max_size=3,
        ),
        "inputs": JSON
        | st.fixed_dictionaries(
            {name: JSON | st.just([ROW[name]]) for name in ROW},
        ),
    },
)


@settings(max_examples=200)
@given(REQUEST | JSON)
def test_whatever_comes_is_parsed_or_refused(document: Any) -> None:
    try:
        call = parse(document)
    except InferenceError as error:
        assert error.code == "INVALID_ARGUMENT"
    else:
        assert set(call.inputs) == set(SIGNATURES[call.signature].inputs)


@settings(max_examples=100)
@given(st.binary(max_size=60))
def test_bytes_that_are_no_json(body: bytes) -> None:
    with pytest.raises(InferenceError):
        parse(body)


def test_responses() -> None:
    outputs = {
        "state": np.array([[0.2, np.nan], [1e-30, 3.0]], np.float32),
        "words": np.array([b"caf\xc3\xa9", b"\xff"], dtype=object),
        "raw_bytes": np.array([b"\xff", b""], dtype=object),
    }
    rows = format_predict_response(outputs, by_row=True)
    assert json.dumps(rows) == (
        '{"predictions": ['
        '{"state": [0.2, NaN], "words": "caf\\u00e9", "raw_bytes": {"b64": "/w=="}}, '
        '{"state": [1e-30, 3.0], "words": "\\ufffd", "raw_bytes": {"b64": ""}}]}'
    )
    columns = format_predict_response(outputs, by_row=False)
    assert columns["outputs"]["words"] == ["café", "\ufffd"]
    alone = {"n": np.array(7)}
    assert format_predict_response(alone, by_row=False) == {"outputs": 7}
    with pytest.raises(InferenceError, match="no common batch size"):
        format_predict_response(alone, by_row=True)
    with pytest.raises(InferenceError, match="no common batch size"):
        format_predict_response({**outputs, "n": np.zeros(3)}, by_row=True)
    empty = {"probability": np.zeros((0,), np.float32)}
    assert format_predict_response(empty, by_row=True) == {"predictions": []}
