"""REST, after tensorflow.org/tfx/serving/api_rest; any endpoint."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest
import requests as http

from claimpt_tf.serving.requests import to_instances, to_predict_inputs


def post(endpoint: Any, method: str, body: Any, which: str = "") -> http.Response:
    url = f"{endpoint.root}{which}:{method}"
    return http.post(url, data=json.dumps(body), timeout=30)


@pytest.fixture
def expected(endpoint: Any, examples: list[bytes]) -> list[float]:
    encoded = [{"b64": base64.b64encode(one).decode()} for one in examples]
    answer = post(endpoint, "predict", {"instances": encoded})
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


def as_json(example: bytes) -> dict[str, Any]:
    from tensorflow.core.example import example_pb2

    features = example_pb2.Example.FromString(example).features.feature
    found: dict[str, Any] = {}
    for name, feature in features.items():
        values = list(
            getattr(feature, feature.WhichOneof("kind") or "int64_list").value
        )
        found[name] = [v.decode() if isinstance(v, bytes) else v for v in values]
    return {name: values for name, values in found.items() if values}


def test_rows_and_columns(
    endpoint: Any, members: list[dict[str, Any]], expected: list[float]
) -> None:
    body: dict[str, Any] = {"signature_name": "predict"}
    rows = post(endpoint, "predict", {**body, "instances": to_instances(members)})
    np.testing.assert_allclose(rows.json()["predictions"], expected, atol=1e-5)
    columns = {k: v.tolist() for k, v in to_predict_inputs(members).items()}
    answer = post(endpoint, "predict", {**body, "inputs": columns})
    np.testing.assert_allclose(answer.json()["outputs"], expected, atol=1e-5)


def test_classify_and_regress(
    endpoint: Any, examples: list[bytes], expected: list[float]
) -> None:
    index = {"index_day": as_json(examples[0])["index_day"]}
    rows = [as_json(one) for one in examples]
    answer = post(
        endpoint, "classify", {"signature_name": "classify", "examples": rows}
    )
    assert answer.status_code == 200, answer.text
    got = answer.json()["results"]
    assert [[label for label, _ in row] for row in got] == [["no", "yes"]] * 8
    np.testing.assert_allclose([row[1][1] for row in got], expected, atol=1e-5)

    bare = [{k: v for k, v in row.items() if k != "index_day"} for row in rows]
    body = {"signature_name": "regress", "context": index, "examples": bare}
    answer = post(endpoint, "regress", body)
    np.testing.assert_allclose(answer.json()["results"], expected, atol=1e-5)


def test_status_metadata_and_versions(endpoint: Any, expected: list[float]) -> None:
    (status, *_) = http.get(endpoint.root, timeout=30).json()["model_version_status"]
    assert status["state"] == "AVAILABLE" and status["status"]["error_code"] == "OK"
    which = f"/versions/{status['version']}"
    assert http.get(endpoint.root + which, timeout=30).ok
    metadata = http.get(f"{endpoint.root}{which}/metadata", timeout=30).json()
    assert metadata["model_spec"]["version"] == status["version"]
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    assert signatures["classify"]["method_name"] == "tensorflow/serving/classify"
    body = {"instances": [{"b64": ""}]}
    assert post(endpoint, "predict", body, which).status_code == 200


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [
        ("predict", {}, 400),
        ("predict", {"instances": []}, 400),
        ("predict", {"instances": [[1, 2], [3]]}, 400),
        ("predict", {"instances": ["a"], "signature_name": "nothing_such"}, 400),
        ("predict", {"instances": ["a"], "inputs": ["a"]}, 400),
        ("classify", {"examples": []}, 400),
        ("classify", {"signature_name": "classify", "examples": [1]}, 400),
        ("regress", {"signature_name": "classify", "examples": [{}]}, 400),
    ],
)
def test_bad_bodies(endpoint: Any, method: str, body: Any, status: int) -> None:
    answer = post(endpoint, method, body)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])


def test_bad_places(endpoint: Any) -> None:
    body = {"instances": [{"b64": ""}]}
    assert post(endpoint, "predict", body, "/versions/999999").status_code == 404
    assert post(endpoint, "predict", body, "/labels/nothing_such").status_code == 400
    other = f"{endpoint.url}/v1/models/another:predict"
    assert http.post(other, json=body, timeout=30).status_code == 404
    assert http.get(f"{endpoint.root}/versions/999999", timeout=30).status_code == 404


def test_curl(endpoint: Any) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed on this machine")
    body = json.dumps({"instances": [{"b64": ""}]})
    command = [curl, "-sS", "--fail-with-body", "--noproxy", "*", "-d", body]
    done = subprocess.run(
        [*command, f"{endpoint.root}:predict"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert 0 <= json.loads(done.stdout)["predictions"][0] <= 1
