"""Two workers on loopback, and two replicas in one process, learn the same."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

WORKER = Path(__file__).with_name("distributed_worker.py")
REPOSITORY = WORKER.parents[2]


def start(mode: str, out: Path, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(WORKER), mode, str(out)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.mark.slow
def test_workers_and_replicas_agree(tmp_path: Path) -> None:
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    outs = [tmp_path / f"{name}.json" for name in ("chief", "other", "mirrored")]
    processes = [
        start(
            "multiworker",
            outs[index],
            TF_CONFIG=json.dumps(
                {
                    "cluster": {"worker": addresses},
                    "task": {"type": "worker", "index": index},
                }
            ),
        )
        for index in (0, 1)
    ]
    processes.append(start("mirrored", outs[2]))
    try:
        for process in processes:
            said, _ = process.communicate(timeout=600)
            assert process.returncode == 0, said[-3000:]
    finally:
        for process in processes:
            process.kill()
    chief, other, mirrored = (json.loads(out.read_text()) for out in outs)
    assert len(chief["history"]) == 2
    assert chief["history"][1]["loss"] < chief["history"][0]["loss"]
    assert other["weights"] == chief["weights"]
    np.testing.assert_allclose(
        [epoch["val_loss"] for epoch in mirrored["history"]],
        [epoch["val_loss"] for epoch in chief["history"]],
        rtol=1e-3,
    )
