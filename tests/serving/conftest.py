"""Small real SavedModels with a pushed model's signatures, and real servers on them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

BUCKETS = 64
_SERVE = """
import json, sys
from claimpt_tf.serving.limits import Limits
from claimpt_tf.serving.models_config import Batching
from claimpt_tf.serving.server import serve
from claimpt_tf.serving.tls import Tls
options = json.loads(sys.argv[2])
for name, kind in (("limits", Limits), ("batching", Batching), ("tls", Tls)):
    if name in options:
        options[name] = kind(**options[name])
base = None if "config" in options else sys.argv[1]
serve(base, rest_port=0, grpc_port=0, say=lambda s: print(s, flush=True), **options)
"""


def _network(seed: int) -> Any:
    import keras

    keras.utils.set_random_seed(seed)
    buckets = keras.Input((None, None), dtype="int32", name="buckets")
    present = keras.Input((None, None), dtype="float32", name="present")
    numbers = keras.Input((4,), dtype="float32", name="numbers")
    embed = keras.layers.Embedding(BUCKETS, 8, embeddings_initializer="normal")
    history = keras.layers.Lambda(
        lambda x: keras.ops.sum(x[0] * x[1][..., None], axis=(1, 2)),
        output_shape=(8,),
    )([embed(buckets), present])
    merged = keras.layers.Concatenate()([history, numbers])
    hidden = keras.layers.Dense(16, activation="tanh")(merged)
    probability = keras.layers.Dense(1, activation="sigmoid")(hidden)
    return keras.Model([buckets, present, numbers], probability)


def _scorer(
    network: Any, dense_gain: float = 1.0, last: Callable[[Any], Any] | None = None
) -> Callable[..., Any]:
    import tensorflow as tf

    def score(x: dict[str, Any], gain: float = 1.0) -> dict[str, Any]:
        known = tf.cast(x["visit_types"] != "", tf.float32)
        age = tf.cast(x["index_day"] - x["birth_days"], tf.float32) / 3652.5
        end = x["visit_days"] + x["visit_length"]
        ago = tf.cast(x["index_day"][:, None] - end, tf.float32)
        recent = tf.reduce_sum(tf.exp(-ago / 90.0) * known, axis=1)
        spent = tf.math.log1p(tf.reduce_sum(x["cost"] * known, axis=1)) / 10.0
        girl = tf.cast(x["sex"] == "F", tf.float32)
        hashed = tf.strings.to_hash_bucket_fast(x["codes"], BUCKETS)
        probability = network(
            [
                tf.cast(hashed, tf.int32),
                tf.cast(x["codes"] != "", tf.float32),
                tf.stack([age, recent, spent, girl], axis=1),
            ],
            training=False,
        )[:, 0]
        probability = probability * gain
        return {"probability": last(probability) if last else probability}

    def dense(x: dict[str, Any]) -> dict[str, Any]:
        return score(x, dense_gain)

    return {"serving_default": score, "predict": dense}


def _write(path: Path, scorers: Any, signatures: tuple[str, ...]) -> None:
    import keras
    import tensorflow as tf

    from claimpt_tf.serving.saved_model import CLASSIFY, REGRESS
    from claimpt_tf.serving.signature_methods import set_methods
    from claimpt_tf.visits.parse import parse

    def from_examples(examples: Any) -> Any:
        x = parse(examples)
        lists = ("codes", "visit_types", "visit_days", "visit_length", "cost")
        dense = {name: x[name].to_tensor() for name in lists}
        return scorers["serving_default"]({**x, **dense})

    def from_columns(
        codes: Any,
        visit_days: Any,
        visit_types: Any,
        visit_length: Any,
        cost: Any,
        sex: Any,
        birth_days: Any,
        index_day: Any,
    ) -> Any:
        return scorers["predict"](
            {
                "codes": codes,
                "visit_days": visit_days,
                "visit_types": visit_types,
                "visit_length": visit_length,
                "cost": cost,
                "sex": sex,
                "birth_days": birth_days,
                "index_day": index_day,
            }
        )

    def classes(inputs: Any) -> Any:
        risk = from_examples(inputs)["probability"]
        names = tf.tile(tf.constant([["no", "yes"]]), [tf.shape(risk)[0], 1])
        return {"classes": names, "scores": tf.stack([1 - risk, risk], axis=1)}

    def value(inputs: Any) -> Any:
        return {"outputs": from_examples(inputs)["probability"]}

    def spec(name: str, dtype: Any, rank: int) -> Any:
        return tf.TensorSpec([None] * rank, dtype, name=name)

    archive = keras.export.ExportArchive()
    if "serving_default" in signatures:
        archive.add_endpoint(
            "serving_default", from_examples, [spec("examples", tf.string, 1)]
        )
    if "predict" in signatures:
        columns = [
            spec("codes", tf.string, 3),
            spec("visit_days", tf.int64, 2),
            spec("visit_types", tf.string, 2),
            spec("visit_length", tf.int64, 2),
            spec("cost", tf.float32, 2),
            spec("sex", tf.string, 1),
            spec("birth_days", tf.int64, 1),
            spec("index_day", tf.int64, 1),
        ]
        archive.add_endpoint("predict", from_columns, columns)
    examples = [spec("inputs", tf.string, 1)]
    if "classify" in signatures:
        archive.add_endpoint("classify", classes, examples)
    if "regress" in signatures:
        archive.add_endpoint("regress", value, examples)
    archive.write_out(str(path), verbose=False)
    set_methods(str(path), {"classify": CLASSIFY, "regress": REGRESS})


def _through_python(x: Any) -> Any:
    import tensorflow as tf

    y = tf.py_function(lambda value: value * 1.0, [x], tf.float32)
    y.set_shape(x.shape)
    return y


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Version folders: `one` and `two` are fit to serve, the others are not."""
    from claimpt_tf.serving.warmup import write_warmup

    both = ("serving_default", "predict")
    every = (*both, "classify", "regress")
    base = tmp_path_factory.mktemp("saved_models")
    first = _network(1)
    _write(base / "one", _scorer(first), every)
    _write(base / "two", _scorer(_network(2)), every)
    _write(base / "python_op", _scorer(first, last=_through_python), both)
    _write(base / "disagreeing", _scorer(first, dense_gain=0.9), both)
    _write(base / "no_predict", _scorer(first), ("serving_default",))
    for folder in base.iterdir():
        write_warmup(folder)

    shutil.copytree(base / "one", base / "corrupt")
    (weights,) = (base / "corrupt/variables").glob("variables.data-*")
    content = bytearray(weights.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(b ^ 0xFF for b in content[middle:][:64])
    weights.write_bytes(content)
    return {folder.name: folder for folder in base.iterdir()}


@pytest.fixture(scope="session")
def members() -> list[dict[str, Any]]:
    """Eight invented members, from no visit to 60."""
    from claimpt_tf.serving.warmup import invented_members

    return invented_members()


@pytest.fixture(scope="session")
def examples(members: list[dict[str, Any]]) -> list[bytes]:
    """The same members as serialized records."""
    from claimpt_tf.serving.requests import to_examples

    return to_examples(members)


class ServerProcess:
    """A server in a process of its own, on a free port of the loopback."""

    def __init__(self, base: Path, log: Path, **options: Any) -> None:
        self.base = base
        self._log = log
        self._stderr = log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(base), json.dumps(options)],
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            text=True,
        )
        self.said: list[str] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.strip())
            if "://" in line:
                scheme, rest = line.split()[3].split("://")
                self.url = f"{scheme}://{rest.split('/')[0]}"
            if line.startswith("gRPC: "):
                self.grpc = line.split()[1]
                return
        raise AssertionError(f"the server did not start: {log.read_text()}")

    @property
    def log(self) -> str:
        """What it wrote to standard error so far."""
        return self._log.read_text()

    def events(self, name: str) -> list[dict[str, Any]]:
        """Its log's events of that name."""
        whole_lines = self.log.split("\n")[:-1]
        lines = [json.loads(line) for line in whole_lines if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Signals it; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(timeout=30)
        finally:
            self.process.kill()
            self.process.stdout.close()  # type: ignore[union-attr]
            self._stderr.close()


@pytest.fixture(scope="session")
def server_process() -> type[ServerProcess]:
    """For tests that start and stop a server of their own."""
    return ServerProcess


@pytest.fixture(scope="module")
def server(
    saved_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """One server a module, with version 1 and limits that a test can reach."""
    base = tmp_path_factory.mktemp("model_base") / "claimpt"
    shutil.copytree(saved_models["one"], base / "1")
    limits = {"body_bytes": 2_000_000, "body_seconds": 3}
    running = ServerProcess(
        base, base.parent / "server.log", poll_seconds=0.2, limits=limits
    )
    yield running
    running.stop()
