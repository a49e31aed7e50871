"""The endpoint under test: ours, or any that TF_SERVING_GRPC and _REST name.

    scripts/tf_serving.sh RUN/serving/claimpt        # the official image
    TF_SERVING_GRPC=127.0.0.1:8500 TF_SERVING_REST=http://127.0.0.1:8501 \
        .venv/bin/python -m pytest tests/serving/conformance

The model must be one of ours with one version served; TF_SERVING_MODEL is its name
(claimpt), TF_SERVING_BASE its folder as the server sees it (/models/claimpt).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest


@dataclass(frozen=True)
class Endpoint:
    """A server that claims to speak TensorFlow Serving's protocol."""

    grpc_address: str
    url: str
    model: str
    base: str
    ours: bool
    channel: grpc.Channel

    @property
    def root(self) -> str:
        """REST's address of the model."""
        return f"{self.url}/v1/models/{self.model}"


@pytest.fixture(scope="package")
def endpoint(
    saved_models: dict[str, Path],
    server_process: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Endpoint]:
    address, url = os.environ.get("TF_SERVING_GRPC"), os.environ.get("TF_SERVING_REST")
    if address and url:
        name = os.environ.get("TF_SERVING_MODEL", "claimpt")
        base = os.environ.get("TF_SERVING_BASE", f"/models/{name}")
        with grpc.insecure_channel(address) as channel:
            yield Endpoint(address, url.rstrip("/"), name, base, False, channel)
        return
    base = tmp_path_factory.mktemp("conformance") / "claimpt"
    shutil.copytree(saved_models["one"], base / "1")
    running = server_process(base, base.parent / "server.log", poll_seconds=0.2)
    try:
        with grpc.insecure_channel(running.grpc) as channel:
            yield Endpoint(
                running.grpc, running.url, "claimpt", str(base), True, channel
            )
    finally:
        running.stop()
