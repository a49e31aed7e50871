from __future__ import annotations

import concurrent.futures
import copy
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests as http

from claimpt_tf.serving.cpp_loader import score_with_cpp_loader
from claimpt_tf.serving.requests import to_instances, to_predict_inputs

REPOSITORY = Path(__file__).parents[2]


def post(server: Any, body: Any, path: str = "claimpt:predict") -> http.Response:
    data = json.dumps(body) if isinstance(body, dict | list) else body
    return http.post(f"{server.url}/v1/models/{path}", data=data, timeout=30)


def get(server: Any, path: str) -> http.Response:
    return http.get(server.url + path, timeout=30)


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def instances(members: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return to_instances(members)


@pytest.fixture(scope="module")
def scores(saved_models: dict[str, Path], examples: list[bytes]) -> np.ndarray:
    return score_with_cpp_loader(saved_models["one"], examples)


def test_it_says_what_it_is(server: Any) -> None:
    assert "not TensorFlow Serving" in server.said[0]
    assert server.said[1].startswith("claimpt, version 1: http://127.0.0.1:")
    (event,) = server.events("listening")
    assert event["models"] == {"claimpt": 1} and event["url"] == server.url


def test_health_status_and_metadata(server: Any) -> None:
    assert get(server, "/healthz").json() == {
        "status": "ok",
        "models": {"claimpt": 1},
    }
    available = {
        "version": "1",
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    for path in ("/v1/models/claimpt", "/v1/models/claimpt/versions/1"):
        answer = get(server, path)
        assert answer.json() == {"model_version_status": [available]}
        assert answer.headers["content-type"] == "application/json"

    metadata = get(server, "/v1/models/claimpt/metadata").json()
    assert metadata["model_spec"]["name"] == "claimpt"
    assert metadata["model_spec"]["version"] == "1"
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    assert set(signatures) == {"classify", "predict", "regress", "serving_default"}
    examples = signatures["serving_default"]["inputs"]["examples"]
    assert examples["dtype"] == "DT_STRING"
    assert examples["tensor_shape"] == {
        "dim": [{"size": "-1", "name": ""}],
        "unknown_rank": False,
    }
    assert set(signatures["predict"]["outputs"]) == {"probability"}


def test_metadata_reads_as_tensorflow_serving_s_own(server: Any) -> None:
    from google.protobuf import json_format
    from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

    metadata = get(server, "/v1/models/claimpt/metadata").json()
    parsed = json_format.ParseDict(
        metadata["metadata"]["signature_def"],
        get_model_metadata_pb2.SignatureDefMap(),
        ignore_unknown_fields=True,
    )
    assert parsed.signature_def["predict"].inputs["codes"].dtype == 7
    status = json_format.ParseDict(
        get(server, "/v1/models/claimpt").json(),
        get_model_status_pb2.GetModelStatusResponse(),
    )
    assert status.model_version_status[0].state == 30


@pytest.mark.parametrize("version", ["", "/versions/1"])
def test_rows_columns_and_examples_score_alike(
    server: Any,
    version: str,
    members: list[dict[str, Any]],
    instances: list[dict[str, Any]],
    examples: list[bytes],
    scores: np.ndarray,
) -> None:
    import base64

    columns = {k: v.tolist() for k, v in to_predict_inputs(members).items()}
    encoded = [{"b64": base64.b64encode(e).decode()} for e in examples]
    requests = [
        ({"signature_name": "predict", "instances": instances}, "predictions"),
        ({"signature_name": "predict", "inputs": columns}, "outputs"),
        ({"instances": encoded}, "predictions"),
        ({"instances": [{"examples": e} for e in encoded]}, "predictions"),
        ({"inputs": encoded}, "outputs"),
        ({"inputs": {"examples": encoded}}, "outputs"),
    ]
    for body, key in requests:
        answer = post(server, body, f"claimpt{version}:predict")
        assert answer.status_code == 200, answer.text
        assert list(answer.json()) == [key]
        np.testing.assert_allclose(answer.json()[key], scores, atol=1e-6)


def test_one_member_scores_as_in_a_batch(
    server: Any, members: list[dict[str, Any]], scores: np.ndarray
) -> None:
    for member, score in zip(members, scores, strict=True):
        body = {"signature_name": "predict", "instances": to_instances([member])}
        (got,) = post(server, body).json()["predictions"]
        assert abs(got - score) < 1e-6


def _changed(instances: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    first = {**copy.deepcopy(instances[1]), **changes}
    return {"signature_name": "predict", "instances": [first]}


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "JSON Parse error: The document is empty"),
        (b"{]", 400, "JSON Parse error"),
        (b"\xff\xfe", 400, "not UTF-8"),
        (b"null", 400, "Is not object"),
        ({}, 400, "Missing 'inputs' or 'instances' key"),
        ({"instances": []}, 400, "No values in 'instances'"),
        ({"instances": ["ICD10CM:MARK"]}, 400, "Could not parse example input"),
        ({"instances": [["a"]]}, 400, "input examples has the shape [1, 1]"),
        ({"instances": ["a"], "signature_name": "explain"}, 400, "not found in sig"),
        ({"signature_name": "predict", "instances": ["a"]}, 400, "plain list"),
        ({"signature_name": "predict", "instances": [{}]}, 400, "must be equal to"),
        ({"codes": [["a"], ["b", "ICD10CM:MARK"]]}, 400, "unexpected size: 2"),
        ({"codes": "ICD10CM:MARK"}, 400, "input codes has the shape [1]"),
        ({"visit_days": ["MARK"]}, 400, "is not of expected type: int64"),
        ({"visit_days": [19000.5]}, 400, "is not of expected type: int64"),
        ({"cost": [1e300]}, 400, "without loss of precision"),
        ({"cost": [1.0, 2.0]}, 400, "Incompatible shapes"),
        ({"sex": None}, 400, "Type: Null is not of expected type: string"),
    ],
)
def test_bad_bodies(
    server: Any,
    instances: list[dict[str, Any]],
    body: Any,
    status: int,
    message: str,
) -> None:
    if isinstance(body, dict) and not set(body) & {"instances", "signature_name"}:
        body = _changed(instances, **body) if body else body
    answer = post(server, body)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert message in answer.json()["error"]
    assert "MARK" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/v1/models/other:predict", 404, "for request: Latest(other)"),
        ("POST", "/v1/models/claimpt/versions/9:predict", 404, "Specific(claimpt, 9)"),
        ("GET", "/v1/models/claimpt/versions/9", 404, "Could not find version 9"),
        ("GET", "/v1/models/claimpt/versions/9/metadata", 404, "Specific(claimpt, 9)"),
        ("GET", f"/v1/models/claimpt/versions/{2**70}", 400, "Failed to convert"),
        ("POST", "/v1/models/claimpt:classify", 400, "key 'examples' is expected"),
        ("POST", "/v1/models/claimpt/labels/x:predict", 400, "version label: x"),
        ("GET", "/v1/models/claimpt:predict", 400, "Malformed request: GET"),
        ("DELETE", "/v1/models/claimpt", 400, "Malformed request: DELETE"),
        ("GET", "/v1/models/claimpt/versions/x", 400, "Malformed request"),
        ("GET", "/", 404, "under /v1/models/"),
        ("GET", "/v2/health/ready", 404, "under /v1/models/"),
    ],
)
def test_bad_paths(
    server: Any, method: str, path: str, status: int, message: str
) -> None:
    answer = http.request(method, server.url + path, data=b"{}", timeout=30)
    assert answer.status_code == status
    assert message in answer.json()["error"]


def test_bodies_that_are_too_large_or_packed(server: Any) -> None:
    chunks = iter([b" " * 1_000_000] * 3)
    for body in (b" " * 50_000_000, chunks):
        answer = post(server, body)
        assert answer.status_code == 413
        assert "larger than 2000000 bytes" in answer.json()["error"]
    packed = http.post(
        f"{server.url}/v1/models/claimpt:predict",
        data=b"x",
        headers={"Content-Encoding": "gzip"},
        timeout=30,
    )
    assert packed.status_code == 415


def test_ten_thousand_visits(server: Any) -> None:
    count = 10_000
    instance = {
        "codes": [["ICD10CM:J4540"]] * count,
        "visit_days": [19_000] * count,
        "visit_types": ["OP"] * count,
        "visit_length": [0] * count,
        "cost": [1.0] * count,
        "sex": "F",
        "birth_days": 15_000,
        "index_day": 19_500,
    }
    answer = post(server, {"signature_name": "predict", "instances": [instance]})
    assert answer.status_code == 200
    assert 0 <= answer.json()["predictions"][0] <= 1


def test_half_closed_and_silent_connections(
    server: Any, instances: list[dict[str, Any]]
) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    head = b"POST /v1/models/claimpt:predict HTTP/1.1\r\nHost: x\r\n"
    cut = socket.create_connection((host, int(port)))
    cut.sendall(head + b"Content-Length: 500\r\n\r\n{")
    cut.close()
    nonsense = socket.create_connection((host, int(port)), timeout=10)
    nonsense.sendall(b"\x16\x03\x01 no http\r\n\r\n")
    assert nonsense.recv(100).startswith(b"HTTP/1.1 400")
    nonsense.close()
    silent = socket.create_connection((host, int(port)), timeout=10)
    silent.sendall(head + b"Content-Length: 500\r\n\r\n{")
    assert silent.recv(100).startswith(b"HTTP/1.1 408")
    silent.close()
    assert post(server, _changed(instances)).status_code == 200


def test_many_at_once(
    server: Any, instances: list[dict[str, Any]], scores: np.ndarray
) -> None:
    def ask(at: int) -> float:
        body = {"signature_name": "predict", "instances": [instances[at % 8]]}
        return post(server, body).json()["predictions"][0]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        got = list(pool.map(ask, range(160)))
    np.testing.assert_allclose(got, np.tile(scores, 20), atol=1e-6)


def test_curl(server: Any, instances: list[dict[str, Any]], tmp_path: Path) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed on this machine")

    def run(*arguments: str) -> tuple[str, Any]:
        done = subprocess.run(
            [curl, "-sS", "--noproxy", "*", "-w", "\n%{http_code}", *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        body, _, code = done.stdout.rpartition("\n")
        return code, json.loads(body)

    url = f"{server.url}/v1/models/claimpt"
    code, status = run(url)
    assert code == "200"
    assert status["model_version_status"][0]["state"] == "AVAILABLE"
    request = tmp_path / "request.json"
    request.write_text(json.dumps(_changed(instances)))
    code, answer = run("-d", f"@{request}", f"{url}:predict")
    assert code == "200" and len(answer["predictions"]) == 1
    # Larger than 1 MB: curl asks first, with Expect: 100-continue.
    request.write_text(json.dumps({**_changed(instances), "note": "x" * 1_500_000}))
    code, answer = run("-d", f"@{request}", f"{url}:predict")
    assert code == "200" and len(answer["predictions"]) == 1
    request.write_bytes(b" " * 3_000_000)
    code, answer = run("--data-binary", f"@{request}", f"{url}:predict")
    assert code == "413"


def test_versions_come_and_go_without_a_failed_request(
    server: Any, saved_models: dict[str, Path], instances: list[dict[str, Any]]
) -> None:
    body = _changed(instances)
    first = post(server, body).json()["predictions"][0]
    failed: list[http.Response] = []
    ended = False

    def load() -> None:
        with http.Session() as session:
            url = f"{server.url}/v1/models/claimpt:predict"
            while not ended:
                answer = session.post(url, json=body, timeout=30)
                if answer.status_code != 200:
                    failed.append(answer)

    def version() -> int:
        return get(server, "/healthz").json()["models"]["claimpt"]

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        running = [pool.submit(load) for _ in range(2)]
        try:
            (server.base / "4").mkdir()  # a copy that has hardly begun
            shutil.copytree(saved_models["two"], server.base / "2")
            until(lambda: version() == 2)
            second = post(server, body).json()["predictions"][0]
            shutil.copytree(saved_models["corrupt"], server.base / "3")
            until(lambda: bool(server.events("version_refused")))
            assert version() == 2
            told = get(server, "/v1/models/claimpt/versions/3").json()
            told = told["model_version_status"][0]
            assert told["state"] == "END"
            assert told["status"]["error_code"] == "DATA_LOSS"
            shutil.rmtree(server.base / "2")  # rolled back
            until(lambda: version() == 1)
        finally:
            ended = True
    for thread in running:
        thread.result()
    assert not failed
    assert abs(second - first) > 1e-3
    assert post(server, body).json()["predictions"][0] == first
    assert {e["version"] for e in server.events("version_unloaded")} >= {1, 2}


def test_the_log_holds_no_health_data(
    server: Any, instances: list[dict[str, Any]]
) -> None:
    post(server, _changed(instances, codes=[["ICD10CM:MARK"]], sex="MARK"))
    post(server, _changed(instances, codes=[["ICD10CM:MARK"], ["a", "b"]]))
    post(server, {"instances": ["ICD10CM:MARK"]})
    post(server, b'{"MARK": ')
    events = server.events("request")
    assert events[-1]["status"] == 400
    assert (
        events[-4].items()
        >= {
            "kind": "predict",
            "version": 1,
            "signature": "predict",
            "batch": 1,
            "status": 200,
        }.items()
    )
    assert "MARK" not in server.log
    assert "ICD10CM" not in server.log
