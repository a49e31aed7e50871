"""Requests that nobody would write: answered with a client's error, never ours."""

from __future__ import annotations

import json
from typing import Any

import grpc
import requests as http
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


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
