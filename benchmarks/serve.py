"""The local server against the SavedModel called in a loop, on one machine.

    .venv/bin/python benchmarks/serve.py RUN/serving/claimpt
    .venv/bin/python benchmarks/serve.py RUN/serving/claimpt --soak 600 --swaps 1000

Members have 30 visits. The server is a process of its own; so are the clients at
saturation. Latency is measured twice: by this package's client, and by h2load (Debian's
nghttp2-client), which adds no Python of its own. Prints one JSON line a measurement.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import itertools
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from claimpt_tf.serving import protos
from claimpt_tf.serving.cpp_session import CppSession
from claimpt_tf.serving.errors import ServingError
from claimpt_tf.serving.grpc_client import GrpcClient
from claimpt_tf.serving.requests import to_examples
from claimpt_tf.serving.saved_model import resolve_version
from claimpt_tf.serving.tensor_proto import fill_tensor
from claimpt_tf.serving.warmup import invented_members

VISITS = 30


def examples(count: int) -> list[bytes]:
    """Serialised members of VISITS visits."""
    (member,) = [m for m in invented_members() if len(m["visits"]) == VISITS]
    return to_examples([member]) * count


@contextlib.contextmanager
def server(base: Path, *options: str) -> Iterator[tuple[str, psutil.Process]]:
    """A server's gRPC address, and its process."""
    command = [sys.executable, "-m", "claimpt_tf", "serve", str(base)]
    ports = ["--rest-port", "0", "--grpc-port", "0", "--poll-seconds", "0.2"]
    process = subprocess.Popen(
        [*command, *ports, *options],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith("gRPC: "):
                yield line.split()[1], psutil.Process(process.pid)
                return
        raise SystemExit("the server did not start")
    finally:
        process.terminate()
        process.wait()


def say(what: str, **facts: Any) -> None:
    """One measurement as a JSON line."""
    print(json.dumps({"what": what, **facts}), flush=True)


def latency(address: str, seconds: float, rate: float) -> None:
    """Batch 1 at a rate: requests leave on time, whether answers came or not."""
    one = {"examples": np.array(examples(1), dtype=object)}
    took: list[float] = []
    with (
        GrpcClient(address, retries=0) as client,
        concurrent.futures.ThreadPoolExecutor(32) as pool,
    ):

        def ask(due: float) -> None:
            client.run("serving_default", one)
            took.append(time.perf_counter() - due)

        for _ in range(20):
            ask(time.perf_counter())
        took.clear()
        begun = time.perf_counter()
        for at in range(int(seconds * rate)):
            due = begun + at / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            pool.submit(ask, due)
    p50, p99 = np.percentile(np.array(took) * 1000, [50, 99])
    say("latency", client="claimpt_tf", rate=rate, requests=len(took),
        p50_ms=round(p50, 2), p99_ms=round(p99, 2))  # fmt: skip


def plain_latency(address: str, seconds: float, rate: float) -> None:
    """The same requests from a client written in C."""
    if shutil.which("h2load") is None:
        print("no h2load here: apt-get install nghttp2-client", file=sys.stderr)
        return
    request = protos.PredictRequest()
    request.model_spec.name = "claimpt"
    one = np.array(examples(1), dtype=object)
    fill_tensor(request.inputs["examples"], one, "string")
    body = request.SerializeToString()
    with tempfile.TemporaryDirectory(prefix="claimpt-h2load-") as scratch:
        log, framed = Path(scratch) / "log", Path(scratch) / "body"
        framed.write_bytes(b"\0" + len(body).to_bytes(4, "big") + body)
        for count in (20, int(seconds * rate)):  # the first to warm up
            log.unlink(missing_ok=True)
            told = subprocess.run(
                ["h2load", "-n", str(count), "-c1", "-m32", f"--rps={rate}",
                 "-d", str(framed), "-H", "content-type: application/grpc",
                 "-H", "te: trailers", f"--log-file={log}",
                 f"http://{address}/tensorflow.serving.PredictionService/Predict"],
                check=True, stdout=subprocess.PIPE, text=True,
            ).stdout  # fmt: skip
            # A refusal is a trailer: it has the HTTP status 200 too, but no data.
            (data,) = re.findall(r"\((\d+)\) data", told)
            if int(data) < 10 * count:
                raise SystemExit(f"h2load's requests were refused: {told}")
        took = np.loadtxt(log)
    p50, p99 = np.percentile(took[:, 2] / 1000, [50, 99])
    say("latency", client="h2load", rate=rate, requests=len(took),
        p50_ms=round(p50, 2), p99_ms=round(p99, 2))  # fmt: skip


def flood(address: str, rows: int, seconds: float, threads: int) -> tuple[int, int]:
    """Rows answered and requests failed, by a process that asks all the time."""
    some = {"examples": np.array(examples(rows), dtype=object)}
    end = time.perf_counter() + seconds
    with GrpcClient(address, retries=0, timeout=60) as client:

        def ask(_: int) -> tuple[int, int]:
            good = bad = 0
            while time.perf_counter() < end:
                try:
                    client.run("serving_default", some)
                    good += rows
                except ServingError:
                    bad += 1
            return good, bad

        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            done = list(pool.map(ask, range(threads)))
    return sum(g for g, _ in done), sum(b for _, b in done)


def flooded(address: str, rows: int, seconds: float, threads: int) -> tuple[int, int]:
    """`flood` from another process, so that it does not slow the measuring one."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
        return pool.submit(flood, address, rows, seconds, threads).result()


def saturation(model: Path, address: str, rows: int, seconds: float) -> None:
    """Server and bare loop take turns, so that both see the same machine."""
    batch = {"examples": np.array(examples(rows), dtype=object)}
    ratios = []
    threads = os.cpu_count() or 1
    with CppSession(model) as session:
        for _ in range(2):
            session.run("serving_default", batch)

        def loop(end: float) -> int:
            done = 0
            while time.perf_counter() < end:
                session.run("serving_default", batch)
                done += rows
            return done

        for _ in range(3):
            begun = time.perf_counter()
            with concurrent.futures.ThreadPoolExecutor(threads) as pool:
                ends = [begun + seconds] * threads
                bare = sum(pool.map(loop, ends)) / (time.perf_counter() - begun)
            good, bad = flooded(address, rows, seconds, 2 * threads)
            ratios.append(bare / max(good / seconds, 1e-9))
            say("saturation", rows=rows, loop_rows_per_s=round(bare),
                server_rows_per_s=round(good / seconds), failed=bad,
                times_slower=round(ratios[-1], 2))  # fmt: skip


def soak(address: str, process: psutil.Process, seconds: float) -> None:
    """Full load for a while: errors, and memory a second, whose means are compared.

    Allocation swings from one second to the next, so that two glances tell nothing.
    """
    ended, memory = threading.Event(), []

    def watch() -> None:
        while not ended.wait(1.0):
            memory.append(process.memory_info().rss / 2**20)

    thread = threading.Thread(target=watch)
    thread.start()
    good, bad = flooded(address, 8, seconds, 8)
    ended.set()
    thread.join()
    tenths = [float(part.mean()) for part in np.array_split(memory, 10)]
    say("soak", seconds=seconds, rows=good, failed=bad,
        memory_mb=[round(one) for one in tenths],
        growth_from_second_tenth=round(tenths[-1] / tenths[1] - 1, 4))  # fmt: skip


def swaps(
    model: Path, folder: Path, address: str, process: psutil.Process, count: int,
    rate: float,
) -> None:  # fmt: skip
    """New versions while requests come at a rate; the one before goes."""
    ended = threading.Event()
    answered: list[bool] = []
    one = {"examples": np.array(examples(1), dtype=object)}

    def load() -> None:
        with (
            GrpcClient(address, retries=0) as client,
            concurrent.futures.ThreadPoolExecutor(32) as pool,
        ):

            def ask() -> None:
                try:
                    client.run("serving_default", one)
                    answered.append(True)
                except ServingError:
                    answered.append(False)

            begun = time.perf_counter()
            for at in itertools.count():
                if ended.wait(max(0.0, begun + at / rate - time.perf_counter())):
                    return
                pool.submit(ask)

    thread = threading.Thread(target=load)
    thread.start()
    begun, memory = time.perf_counter(), []
    first = max(int(child.name) for child in folder.iterdir()) + 1
    for done, number in enumerate(range(first, first + count), start=1):
        beside = folder / f".{number}.part"
        shutil.copytree(model, beside)
        beside.rename(folder / str(number))
        with GrpcClient(address, version=number, retries=0) as probe:
            while True:
                try:
                    probe.run("serving_default", one)
                    break
                except ServingError:
                    time.sleep(0.05)
        shutil.rmtree(folder / str(number - 1))
        memory.append(process.memory_info().rss / 2**20)
        if done % 100 == 0:
            print(f"{done} of {count} swaps", file=sys.stderr)
    ended.set()
    thread.join()
    marks = np.linspace(0, count - 1, min(count, 5)).astype(int)
    say("swaps", swaps=count, rate=rate, requests=len(answered),
        failed=answered.count(False),
        seconds_a_swap=round((time.perf_counter() - begun) / count, 2),
        memory_mb=[round(memory[at]) for at in marks])  # fmt: skip


def main() -> None:
    """Runs what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model_base")
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="a measurement; 0: none"
    )
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second")
    parser.add_argument("--rows", type=int, default=32, help="rows at saturation")
    parser.add_argument("--soak", type=float, default=30.0, help="seconds of full load")
    parser.add_argument("--swaps", type=int, default=5, help="version swaps under load")
    chosen = parser.parse_args()
    model = resolve_version(chosen.model_base)
    with tempfile.TemporaryDirectory(prefix="claimpt-serve-") as scratch:
        base = Path(scratch) / "claimpt"
        shutil.copytree(model, base / "1")
        with server(base) as (address, process):
            if chosen.seconds:
                latency(address, chosen.seconds, chosen.rate)
                plain_latency(address, chosen.seconds, chosen.rate)
                saturation(model, address, chosen.rows, chosen.seconds)
            if chosen.soak:
                soak(address, process, chosen.soak)
            if chosen.swaps:
                swaps(model, base, address, process, chosen.swaps, chosen.rate)


if __name__ == "__main__":
    main()
