"""Two workers on loopback, and two replicas in one process, learn the same."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

WORKER = Path(__file__).with_name("distributed_worker.py")
REPOSITORY = WORKER.parents[2]


def start(devices: int, log: Path, *arguments: str, **environment: str):
    with open(log, "w") as file:
        return subprocess.Popen(
            [sys.executable, str(WORKER), str(devices), "pretrain", *arguments],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
            stdout=file,
            stderr=subprocess.STDOUT,
        )


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.mark.slow
def test_workers_and_replicas_agree(records: Path, whole: Path, tmp_path: Path) -> None:
    choices = [
        *("--data", str(records), "--preset", "tiny", "--seed", "0"),
        *("--epochs", "2", "--batch-size", "16", "--resume"),
    ]
    for name in ("workers", "mirrored"):
        shutil.copytree(whole / "transform", tmp_path / name / "transform")
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    logs = {name: tmp_path / f"{name}.log" for name in ("0", "1", "mirrored")}
    processes = {
        index: start(
            1,
            logs[index],
            *choices,
            *("--output", str(tmp_path / "workers")),
            TF_CONFIG=json.dumps(
                {"cluster": cluster, "task": {"type": "worker", "index": int(index)}}
            ),
        )
        for index in ("0", "1")
    }
    processes["mirrored"] = start(
        2,
        logs["mirrored"],
        *choices,
        *("--output", str(tmp_path / "mirrored"), "--distribution", "mirrored"),
    )
    until = time.monotonic() + 400
    try:
        while any(process.poll() is None for process in processes.values()):
            ended = {name: one.poll() for name, one in processes.items()}
            said = "\n".join(
                f"{name}: {ended[name]}\n{log.read_text()[-3000:]}"
                for name, log in logs.items()
            )
            assert not any(ended.values()) and time.monotonic() < until, said
            time.sleep(0.2)
    finally:
        for process in processes.values():
            process.kill()
    assert not any(process.returncode for process in processes.values())
    workers, mirrored = (
        json.loads((tmp_path / name / "metrics.json").read_text())["history"]
        for name in ("workers", "mirrored")
    )
    assert len(workers) == 2 and workers[1]["loss"] < workers[0]["loss"]
    np.testing.assert_allclose(
        [epoch["val_loss"] for epoch in workers],
        [epoch["val_loss"] for epoch in mirrored],
        rtol=1e-3,
    )
