"""Requests that nobody would write: answered with a client's error, never ours."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
import requests as http
import schemathesis
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS
from schemathesis.specs.openapi import checks

from tests.conftest import REPOSITORY

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.builds(lambda t: {"b64": t}, st.text("ABCD=/+", max_size=8)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["codes", "sex", "cost", "x"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)
KEYS = st.sampled_from(
    ["instances", "inputs", "signature_name", "examples", "context", "nothing"]
)
NAMES = st.sampled_from(["predict", "classify", "regress", "serving_default"])
BODIES = (
    st.dictionaries(KEYS, VALUES, max_size=3)
    | st.builds(
        lambda name, body: {**body, "signature_name": name},
        NAMES,
        st.dictionaries(KEYS, VALUES, max_size=2),
    )
    | VALUES
)
PATHS = st.sampled_from(["predict", "classify", "regress"])
SLOW = settings(
    max_examples=150,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


DOCUMENT = REPOSITORY / "claimpt_tf" / "serving" / "openapi.yaml"
CONFORMS = [
    CHECKS.get_one("not_a_server_error"),
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


def documented() -> dict[str, Any]:
    """The REST API, with what is served here among what may be asked for."""
    document = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    for way in document["paths"].values():
        for call in way.values():
            for one in call.get("parameters", ()):
                one["schema"]["enum"] = {
                    "model": ["claimpt", "nobody"],
                    "version": [1, 2**63 - 1],
                    "label": ["stable", "canary"],
                }[one["name"]]
    schemas = document["components"]["schemas"]
    # Histories of one shape, or no batch of them would ever be rectangular.
    for name, one in schemas["Member"]["properties"].items():
        if one["type"] == "array":
            one |= {"minItems": 2, "maxItems": 2}
        if name == "codes":
            one["items"] |= {"minItems": 1, "maxItems": 1}
    # What fits the document is mostly answered; the rest is the other mode's part.
    schemas["Features"] = {
        "type": "object",
        "properties": {
            "sex": {"type": "string"},
            "index_day": {"type": "integer", "format": "int64"},
        },
        "additionalProperties": False,
    }
    one_of = [
        ("predict", "Member"), ("explain", "Member"), ("serving_default", "Bytes"),
    ]  # fmt: skip
    schemas["Predict"] = {
        "oneOf": [
            {
                "type": "object",
                "required": ["signature_name", "instances"],
                "properties": {
                    "signature_name": {"type": "string", "enum": [signature]},
                    "instances": {
                        "type": "array",
                        "items": {"$ref": f"#/components/schemas/{instance}"},
                    },
                },
                "additionalProperties": False,
            }
            for signature, instance in one_of
        ]
    }
    return document


@pytest.mark.parametrize("path", documented()["paths"])
def test_every_documented_call(server: Any, path: str) -> None:
    """Schemathesis makes requests that fit the document, and some that do not."""
    (operation,) = (
        found.ok()
        for found in schemathesis.openapi.from_dict(documented()).get_all_operations()
        if found.ok().path == path
    )
    answered = set()
    modes = schemathesis.GenerationMode
    for mode in list(modes) if "{" in path else [modes.POSITIVE]:

        @settings(SLOW, max_examples=40)
        @given(operation.as_strategy(generation_mode=mode))
        def ask(case: schemathesis.Case) -> None:
            answer = case.call_and_validate(base_url=server.url, checks=CONFORMS)
            answered.add(answer.status_code)

        ask()
    if "label" not in path:  # none is given here
        assert 200 in answered
    assert http.get(f"{server.url}/healthz", timeout=30).status_code == 200


def test_any_json(server: Any) -> None:
    with http.Session() as session:

        @SLOW
        @given(BODIES, PATHS)
        def ask(body: Any, method: str) -> None:
            url = f"{server.url}/v1/models/claimpt:{method}"
            answer = session.post(url, data=json.dumps(body), timeout=30)
            assert answer.status_code in (200, 400), answer.text
            assert isinstance(answer.json(), dict)

        ask()
    assert http.get(f"{server.url}/healthz", timeout=30).status_code == 200


def test_any_bytes_over_both(server: Any) -> None:
    service = "/tensorflow.serving.PredictionService/"
    with grpc.insecure_channel(server.grpc) as channel, http.Session() as session:

        @SLOW
        @given(st.binary(max_size=60), st.sampled_from(["Predict", "Classify"]))
        def ask(body: bytes, method: str) -> None:
            try:
                channel.unary_unary(service + method)(body, timeout=30)
            except grpc.RpcError as error:
                # gRPC itself answers UNKNOWN or INTERNAL to what it cannot parse.
                assert error.code() != grpc.StatusCode.UNAVAILABLE
            url = f"{server.url}/v1/models/claimpt:{method.lower()}"
            assert session.post(url, data=body, timeout=30).status_code in (200, 400)

        ask()
    assert "Traceback" not in "".join(
        line for line in server.log.splitlines() if line.startswith("{")
    )
    assert http.get(f"{server.url}/healthz", timeout=30).status_code == 200
