"""A command of `claimpt` that is killed once it has left a checkpoint."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path


def kill_at_checkpoint(run: Path, *arguments: str) -> Path:
    """Kills with signal 9 as soon as `run` holds a checkpoint, and gives its path."""
    process = subprocess.Popen([sys.executable, "-m", "claimpt_tf", *arguments])
    checkpoint = run / "checkpoint.npz"
    try:
        while process.poll() is None and not checkpoint.exists():
            time.sleep(0.005)
    finally:
        process.kill()
    assert process.wait() == -9 and checkpoint.exists()
    return checkpoint
