from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from claimpt_tf.errors import InputError
from claimpt_tf.serving.client import Client
from claimpt_tf.serving.cpp_loader import score_with_cpp_loader
from claimpt_tf.serving.errors import InferenceError, ServingError
from claimpt_tf.serving.limits import Limits
from claimpt_tf.serving.server import LocalServer


def test_scores_in_batches(
    server: Any,
    saved_models: dict[str, Path],
    members: list[dict[str, Any]],
    examples: list[bytes],
) -> None:
    scores = score_with_cpp_loader(saved_models["one"], examples)
    with Client(server.url, batch_size=3) as client:
        assert client.wait() == 1
        np.testing.assert_allclose(client.predict(members), scores, atol=1e-6)
        assert client.predict([]) == []
        assert [v["state"] for v in client.status()] == ["AVAILABLE"]
        signatures = client.metadata()["metadata"]["signature_def"]["signature_def"]
        assert "predict" in signatures
    with Client(server.url + "/", version=1) as client:
        assert len(client.predict(members)) == 8


def test_refusals_are_not_repeated(server: Any, members: list[dict[str, Any]]) -> None:
    started = time.monotonic()
    with pytest.raises(InferenceError, match=r"404: Servable.*Latest\(no\)") as caught:
        Client(server.url, "no", backoff=5).predict(members)
    assert caught.value.code == "NOT_FOUND"
    with pytest.raises(InferenceError, match=r"Specific\(claimpt, 8\)"):
        Client(server.url, version=8, backoff=5).predict(members)
    assert time.monotonic() - started < 5


def test_bad_members_are_not_sent(server: Any, members: list[dict[str, Any]]) -> None:
    with pytest.raises(InputError, match=r"members\[1\].sex"):
        Client(server.url).predict([members[0], {**members[1], "sex": "x"}])


def test_nobody_there(members: list[dict[str, Any]]) -> None:
    client = Client("http://127.0.0.1:9", retries=2, backoff=0.1)
    started = time.monotonic()
    with pytest.raises(ServingError, match="no answer .* is the server running"):
        client.predict(members)
    assert time.monotonic() - started >= 0.3
    with pytest.raises(ServingError, match="no model after 0.1 s"):
        Client("http://127.0.0.1:9", retries=0).wait(0.1)
    with pytest.raises(ServingError, match="must look like http://"):
        Client("127.0.0.1:8501")


def test_it_waits_for_a_model_to_come(
    saved_models: dict[str, Path], tmp_path: Path, members: list[dict[str, Any]]
) -> None:
    (tmp_path / "base").mkdir()
    shutil.copytree(saved_models["one"], tmp_path / "1")
    with LocalServer(
        tmp_path / "base", rest_port=0, wait_for_model=True, poll_seconds=0.1
    ) as server:
        with pytest.raises(InferenceError, match="503: no version") as caught:
            Client(server.url, retries=0).predict(members)
        assert caught.value.code == "UNAVAILABLE"
        timer = threading.Timer(0.3, (tmp_path / "1").rename, [tmp_path / "base" / "1"])
        timer.start()
        assert len(Client(server.url).predict(members)) == 8
        timer.join()
    with (
        LocalServer(tmp_path / "base", rest_port=0, limits=Limits(pending=0)) as server,
        pytest.raises(InferenceError, match="too many requests"),
    ):
        Client(server.url, retries=1, backoff=0.01).predict(members)


def test_proxies_are_not_used_for_this_machine(
    server: Any, members: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert len(Client(server.url).predict(members)) == 8
