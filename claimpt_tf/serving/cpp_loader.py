"""Scores from TensorFlow's C++ loader, in a process of its own.

TensorFlow Serving loads a model with this loader, and not every SavedModel that
Python loads survives it. A fresh process keeps the proof honest (nothing that Python
registered is there to help) and keeps a crash of the runtime away from the caller.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import claimpt_tf
from claimpt_tf.errors import ArtifactError, ClaimPTError
from claimpt_tf.serving.cpp_session import CppSession
from claimpt_tf.serving.errors import InferenceError

_STDERR_TAIL = 400


@dataclass(frozen=True)
class Call:
    """One signature to run.

    Attributes:
        signature: its name.
        inputs: an array or nested list for each input.
        repeats: further runs whose time is taken, after the first.
    """

    signature: str
    inputs: Mapping[str, Any]
    repeats: int = 0


@dataclass(frozen=True)
class CallResult:
    """What came out of a Call: its outputs, or the runtime's message.

    `seconds` holds one duration for each of the call's `repeats`.
    """

    outputs: dict[str, np.ndarray] = field(default_factory=dict)
    seconds: tuple[float, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class LoaderReport:
    """What the process did: load time in seconds, its TensorFlow, its results."""

    load_seconds: float
    runtime_version: str
    imported_tensorflow: bool
    results: tuple[CallResult, ...]


def _run_call(session: CppSession, call: Call) -> CallResult:
    seconds = []
    try:
        outputs = session.run(call.signature, call.inputs)
        for _ in range(call.repeats):
            started = time.perf_counter()
            session.run(call.signature, call.inputs)
            seconds.append(time.perf_counter() - started)
    except InferenceError as error:
        return CallResult(error=f"{error.code}: {error}")
    return CallResult(outputs=outputs, seconds=tuple(seconds))


def _child(job_file: str, report_file: str) -> None:
    with open(job_file, "rb") as file:
        path, calls = pickle.load(file)
    report: LoaderReport | str
    try:
        started = time.perf_counter()
        with CppSession(path) as session:
            loaded = time.perf_counter() - started
            results = tuple(_run_call(session, call) for call in calls)
            report = LoaderReport(
                load_seconds=loaded,
                runtime_version=session.runtime_version,
                imported_tensorflow="tensorflow" in sys.modules,
                results=results,
            )
    except ClaimPTError as error:
        report = str(error)
    with open(report_file, "wb") as file:
        pickle.dump(report, file)


def _crash_message(path: Path, code: int, stderr: bytes) -> str:
    try:
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else ""
    except ValueError:
        how = ""
    tail = stderr.decode("utf-8", "replace").strip()[-_STDERR_TAIL:]
    return f"{path}: the C++ loader's process {how or f'ended with status {code}'}" + (
        f"; it last said: {tail}" if tail else ""
    )


def run_in_cpp_loader(
    path: str | Path, calls: Sequence[Call], timeout: float = 120
) -> LoaderReport:
    """Loads a SavedModel with the C++ loader in a fresh process and runs `calls`.

    The process sees no GPU: what is checked is the model, not the machine.

    Args:
        path: a version folder, the one that holds saved_model.pb.
        calls: signatures to run, in order; one failing does not stop the others.
        timeout: seconds for everything, loading included.

    Raises:
        ArtifactError: the loader refuses the model (the message is its own), its
            process crashes, or the time is up.
    """
    path = Path(path).resolve()
    root = str(Path(claimpt_tf.__file__).resolve().parents[1])
    environment = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "-1",
        "PYTHONPATH": os.pathsep.join(
            filter(None, (root, os.environ.get("PYTHONPATH")))
        ),
    }
    with tempfile.TemporaryDirectory(prefix="claimpt-loader-") as folder:
        job, report_file = Path(folder, "job"), Path(folder, "report")
        job.write_bytes(pickle.dumps((path, list(calls))))
        command = "from claimpt_tf.serving import cpp_loader as c; c._child(*{!r})"
        try:
            done = subprocess.run(
                [sys.executable, "-c", command.format((str(job), str(report_file)))],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ArtifactError(
                f"{path}: the C++ loader did not finish within {timeout:g} s"
            ) from None
        if done.returncode != 0 or not report_file.exists():
            raise ArtifactError(_crash_message(path, done.returncode, done.stderr))
        report = pickle.loads(report_file.read_bytes())
    if isinstance(report, str):
        raise ArtifactError(report)
    return report


def score_with_cpp_loader(
    path: str | Path,
    serialized: Sequence[bytes],
    signature: str = "serving_default",
    output: str = "probability",
    timeout: float = 120,
) -> np.ndarray:
    """Scores of serialized examples by the C++ loader, in a fresh process.

    Args:
        path: a version folder.
        serialized: tf.Example records, length B.
        signature: one that takes a single input of strings [B].
        output: which of its outputs to return.
        timeout: seconds for everything.

    Returns:
        That output, float32 [B] for a risk.

    Raises:
        ArtifactError: the loader, or the model it runs, fails; the message is the
            runtime's own.
    """
    from claimpt_tf.serving.saved_model import read_saved_model

    signatures = read_saved_model(path).signatures
    if signature not in signatures or len(signatures[signature].inputs) != 1:
        raise ArtifactError(
            f"{path}: no signature {signature!r} with one input of examples; this "
            f"model has {', '.join(signatures) or 'none'}"
        )
    (name,) = signatures[signature].inputs
    call = Call(signature, {name: list(serialized)})
    (result,) = run_in_cpp_loader(path, [call], timeout).results
    if result.error:
        raise ArtifactError(f"{path}: {signature} fails in C++: {result.error}")
    if output not in result.outputs:
        raise ArtifactError(
            f"{path}: {signature} has no output {output!r}, only "
            f"{', '.join(result.outputs)}"
        )
    return result.outputs[output]
