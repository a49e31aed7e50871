from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests as http

from claimpt_tf.errors import ArtifactError, InputError
from claimpt_tf.serving import warmup
from claimpt_tf.serving.errors import ServingError
from claimpt_tf.serving.limits import Limits
from claimpt_tf.serving.requests import to_instances
from claimpt_tf.serving.server import LocalServer


@pytest.fixture(scope="module")
def body(members: list[dict[str, Any]]) -> bytes:
    instances = to_instances(members[1:2])
    request = {"signature_name": "predict", "instances": instances}
    return json.dumps(request).encode()


def get(server: LocalServer, path: str) -> http.Response:
    return http.get(server.url + path, timeout=30)


def post(server: LocalServer, body: bytes) -> http.Response:
    url = f"{server.url}/v1/models/{list(server.versions())[0]}:predict"
    return http.post(url, data=body, timeout=30)


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def test_serving_needs_no_python_tensorflow() -> None:
    code = (
        "import sys, claimpt_tf.serving.server, claimpt_tf.serving.client, "
        "claimpt_tf.serving.check; sys.exit('tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_quietly(
    server_process: Any,
    saved_models: dict[str, Path],
    tmp_path: Path,
    how: signal.Signals,
) -> None:
    shutil.copytree(saved_models["one"], tmp_path / "m" / "1")
    server = server_process(tmp_path / "m", tmp_path / "log", name="asthma")
    with http.Session() as idle:  # a kept-alive connection does not hold it up
        assert idle.get(f"{server.url}/v1/models/asthma", timeout=30).ok
        assert server.stop(how) == 0
    assert len(server.events("stopped")) == 1
    assert "Traceback" not in server.log


def test_requests_in_hand_are_finished(
    saved_models: dict[str, Path], tmp_path: Path, body: bytes
) -> None:
    shutil.copytree(saved_models["one"], tmp_path / "1")
    with LocalServer(tmp_path, rest_port=0) as server:
        open_ = socket.create_connection((server.host, server.rest_port), timeout=30)
        open_.sendall(
            b"POST /v1/models/claimpt:predict HTTP/1.1\r\nHost: x\r\n"
            + f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body[:20]
        )
        until(lambda: len(server._uvicorn.server_state.tasks) == 1)
        server.stop()
        time.sleep(0.3)
        open_.sendall(body[20:])
        assert open_.recv(100).startswith(b"HTTP/1.1 200")
        open_.close()


def test_it_does_not_start(saved_models: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(saved_models["corrupt"], tmp_path / "bad" / "1")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError, match="no version of a model here"):
        LocalServer(tmp_path / "empty", rest_port=0)
    with pytest.raises(ArtifactError, match="no such folder"):
        LocalServer(tmp_path / "none", rest_port=0)
    with pytest.raises(ArtifactError, match="no version loads: .* DATA_LOSS"):
        LocalServer(tmp_path / "bad", rest_port=0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServingError, match=f"port {port} on 127.0.0.1 is in use"):
            LocalServer(saved_models["one"].parent, rest_port=port)
    with pytest.raises(ServingError, match="70000 is no port"):
        LocalServer(tmp_path, rest_port=70_000)
    with pytest.raises(ServingError, match="no address of this machine"):
        LocalServer(tmp_path, host="no.such.host.invalid", rest_port=0)
    with pytest.raises(InputError, match="no spaces, slashes or colons"):
        LocalServer(tmp_path, name="a/b", rest_port=0)


def test_waiting_for_a_model_and_too_many_requests(
    saved_models: dict[str, Path], tmp_path: Path, body: bytes
) -> None:
    with LocalServer(
        tmp_path, rest_port=0, wait_for_model=True, poll_seconds=0.1
    ) as server:
        assert get(server, "/healthz").status_code == 503
        answer = post(server, body)
        assert answer.status_code == 503
        assert answer.json()["error"] == "no version of the model is loaded"
        assert get(server, "/v1/models/claimpt").status_code == 404
        shutil.copytree(saved_models["one"], tmp_path / "1")
        until(lambda: get(server, "/healthz").status_code == 200)
        assert post(server, body).status_code == 200
    with LocalServer(tmp_path, rest_port=0, limits=Limits(pending=0)) as server:
        answer = post(server, body)
        assert answer.status_code == 429
        assert "too many requests" in answer.json()["error"]
        assert answer.headers["retry-after"] == "1"


def test_a_model_without_warm_up_serves_too(
    saved_models: dict[str, Path], tmp_path: Path, body: bytes
) -> None:
    model = Path(shutil.copytree(saved_models["one"], tmp_path / "1"))
    (model / warmup.WARMUP_FILE).unlink()
    with LocalServer(tmp_path, rest_port=0, workers=1, threads=1) as server:
        assert post(server, body).status_code == 200
