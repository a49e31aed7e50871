"""Training at the published sizes: ours beside a plain implementation of the recipe.

Both sides train the published network (width 100, 1 layer, 2 heads, 49,836 codes in
3,357 categories, at most 30 visits of 10 codes, batches of 100) on the same members
with the same two losses: the next visit's categories from the patient embedding, and
each visit's own categories from its output.

The plain side is what the paper describes: a Python generator pads every member to
30 x 10 and builds multi-hot labels, the losses are taken over padding too, and
RMSprop moves every weight at every step. Ours is `claimpt pretrain --preset paper`.

Visits, their days, types and numbers of codes are those of one year of simulated
children (`claimpt simulate`, then `claimpt ingest`), members with two visits or more.
Which code stands there is drawn: Zipf's law with exponent 1 over 49,836 codes, each
code's category at random, because the simulator has fewer than a thousand codes.

Each side runs in a process of its own, in turn, so that its peak memory is its own:

    python benchmarks/train.py
    python benchmarks/train.py --members 4000 --steps 60 --rounds 3
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import click
import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

CODES, CATEGORIES, WIDTH = 49_836, 3_357, 100
VISITS, PER_VISIT, BATCH = 30, 10, 100
DATES, KINDS, DEMOGRAPHICS = 366, 4, 24
TYPES = ("IP", "ED", "OP", "RX", "OTHER")


@dataclasses.dataclass(frozen=True)
class Members:
    """One year of visits of each member.

    Attributes:
      visits: int [N], visits of each member, 2 to VISITS.
      day: int [visits in all], day of the year, from 1.
      kind: int [visits in all], visit type, from 1.
      codes: int [visits in all, PER_VISIT], 0 is padding, else 3 to CODES - 1.
      category: int [CODES], category of each code.
    """

    visits: np.ndarray
    day: np.ndarray
    kind: np.ndarray
    codes: np.ndarray
    category: np.ndarray


def simulated_year(members: int, seed: int = 1) -> Members:
    """Members as the module's docstring says."""
    os.environ.setdefault("CLAIMPT_KEY", "a key that only benchmarks use")
    from claimpt_tf.claims.simulator.config import SimulationConfig
    from claimpt_tf.claims.simulator.simulate import simulate
    from claimpt_tf.claims.simulator.write import write_simulation
    from claimpt_tf.visits.ingest import ingest
    from claimpt_tf.visits.records import decode, read_records

    with tempfile.TemporaryDirectory() as scratch:
        claims, records = f"{scratch}/claims", f"{scratch}/records"
        write_simulation(simulate(SimulationConfig(members, 3, seed)), claims)
        ingest("tuva", claims, records)
        frame = decode(list(read_records(sorted(Path(records).glob("Split-*/*.gz")))))
    last = pl.col("visit_days").list.max()
    year = (
        frame.sort("patient_id")
        .with_row_index("member")
        .filter(pl.col("visit_days").list.len() > 0)
        .with_columns(first=last - 364)
        .select("member", "first", "visit_days", "visit_types", "codes")
        .explode("visit_days", "visit_types", "codes")
        .filter(pl.col("visit_days") >= pl.col("first"))
        .group_by("member", maintain_order=True)
        .tail(VISITS)
        .with_columns(count=pl.len().over("member"))
        .filter(pl.col("count") >= 2)
    )
    draw = np.random.default_rng(seed)
    chance = 1 / np.arange(1, CODES - 2)
    drawn = draw.choice(CODES - 3, (year.height, PER_VISIT), p=chance / chance.sum())
    each = year["codes"].list.len().clip(1, PER_VISIT).to_numpy()
    codes = np.where(np.arange(PER_VISIT) < each[:, None], drawn + 3, 0)
    return Members(
        visits=_int(year.group_by("member", maintain_order=True).len()["len"]),
        day=_int(year["visit_days"] - year["first"] + 1),
        kind=np.array([TYPES.index(kind) + 1 for kind in year["visit_types"]]),
        codes=codes.astype(np.int64),
        category=draw.integers(0, CATEGORIES, CODES),
    )


def _int(series: pl.Series) -> np.ndarray:
    return series.cast(pl.Int64).to_numpy()


def plain_batches(members: Members) -> Iterator[tuple[dict, dict]]:
    """Padded inputs and multi-hot labels, member by member, without end."""
    starts = np.concatenate([[0], np.cumsum(members.visits)])
    draw = np.random.default_rng(0)
    while True:
        order = draw.permutation(len(members.visits))
        for begin in range(0, len(order) - BATCH + 1, BATCH):
            codes = np.zeros((BATCH, VISITS, PER_VISIT), np.int32)
            day = np.zeros((BATCH, VISITS), np.int32)
            kind = np.zeros((BATCH, VISITS), np.int32)
            person = np.zeros((BATCH, 2), np.int32)
            following = np.zeros((BATCH, CATEGORIES), np.float32)
            own = np.zeros((BATCH, VISITS, CATEGORIES), np.float32)
            for row, member in enumerate(order[begin : begin + BATCH]):
                first, last = starts[member], starts[member + 1] - 1
                for place, visit in enumerate(range(first, last)):
                    codes[row, place] = members.codes[visit]
                    day[row, place] = members.day[visit]
                    kind[row, place] = min(members.kind[visit], KINDS - 1)
                    for code in members.codes[visit]:
                        if code:
                            own[row, place, members.category[code]] = 1
                for code in members.codes[last]:
                    if code:
                        following[row, members.category[code]] = 1
                person[row] = member % 20, 20 + member % 2
            yield (
                {"codes": codes, "day": day, "kind": kind, "person": person},
                {"next_visit": following, "category": own},
            )


def plain_model() -> Any:
    """The published network of plain Keras layers, 5,761,614 parameters."""
    import keras
    from keras import ops

    codes = keras.Input((VISITS, PER_VISIT), dtype="int32", name="codes")
    day = keras.Input((VISITS,), dtype="int32", name="day")
    kind = keras.Input((VISITS,), dtype="int32", name="kind")
    person = keras.Input((2,), dtype="int32", name="person")
    present = ops.cast(ops.not_equal(codes, 0), "float32")[..., None]
    embedded = keras.layers.Embedding(CODES, WIDTH)(codes)
    visits = ops.sum(embedded * present, axis=2)
    visits = visits + keras.layers.Embedding(DATES, WIDTH)(day)
    visits = visits + keras.layers.Embedding(KINDS, WIDTH)(kind)
    who = ops.sum(keras.layers.Embedding(DEMOGRAPHICS, WIDTH)(person), axis=1)
    x = ops.concatenate([who[:, None], visits], axis=1)
    real = ops.concatenate([ops.ones_like(kind[:, :1]), kind], axis=1) > 0
    q, k, v = (
        ops.reshape(
            keras.layers.Dense(WIDTH, use_bias=False)(x),
            (-1, VISITS + 1, 2, WIDTH // 2),
        )
        for _ in range(3)
    )
    score = ops.einsum("bihd,bjhd->bhij", q, k) / (WIDTH / 2) ** 0.5
    score = score + ops.where(real, 0.0, -1e9)[:, None, None, :]
    mixed = ops.einsum("bhij,bjhd->bihd", ops.softmax(score), v)
    mixed = ops.reshape(mixed, (-1, VISITS + 1, WIDTH))
    x = keras.layers.LayerNormalization()(x + mixed)
    hidden = keras.layers.Dense(WIDTH, "relu", use_bias=False)(x)
    hidden = keras.layers.Dense(WIDTH, use_bias=False)(hidden)
    x = keras.layers.LayerNormalization()(x + hidden)
    patient = keras.layers.Dense(WIDTH)(x[:, 0])
    outputs = {
        "next_visit": keras.layers.Dense(CATEGORIES, "sigmoid", name="next_visit")(
            patient
        ),
        "category": keras.layers.Dense(CATEGORIES, "sigmoid", name="category")(
            x[:, 1:]
        ),
    }
    return keras.Model([codes, day, kind, person], outputs)


def run_plain(members: Members, steps: int, warm: int) -> dict[str, Any]:
    """Keras `fit` over the generator."""
    import keras

    keras.utils.set_random_seed(1)
    model = plain_model()
    model.compile(
        keras.optimizers.RMSprop(),
        loss={"next_visit": "binary_crossentropy", "category": "binary_crossentropy"},
        jit_compile=False,
    )
    batches = plain_batches(members)
    began = model.fit(batches, steps_per_epoch=warm, epochs=1, verbose=0)
    begun, busy = time.perf_counter(), time.process_time()
    ended = model.fit(batches, steps_per_epoch=steps, epochs=1, verbose=0)
    seconds, busy = time.perf_counter() - begun, time.process_time() - busy
    return {
        "cpu": busy,
        "parameters": model.count_params(),
        "patients": steps * BATCH,
        "visits": steps * BATCH * (members.visits.mean() - 1),
        "flop": steps * BATCH * flop(np.full(1, VISITS)),
        "seconds": seconds,
        "losses": [began.history["loss"][-1], ended.history["loss"][-1]],
    }


def run_ours(members: Members, steps: int, warm: int, optimizer: str) -> dict[str, Any]:
    """The training loop of `claimpt pretrain --preset paper`."""
    import keras
    import tensorflow as tf

    from claimpt_tf.models.presets import backbone
    from claimpt_tf.training.batches import batches_from
    from claimpt_tf.training.choices import pretrain_config
    from claimpt_tf.training.loop import TrainingLoop
    from claimpt_tf.training.objectives import default_mix
    from claimpt_tf.training.pretrainer import Pretrainer
    from claimpt_tf.training.rowwise import RowwiseAdamW
    from claimpt_tf.training.targets import Targets
    from claimpt_tf.training.weight_average import WeightAverage

    config = pretrain_config("paper", max_visits=VISITS + 1, dates=1)
    keras.utils.set_random_seed(1)
    category = members.category.tolist()
    names = [str(n) for n in range(CATEGORIES)]
    targets = Targets(names, [-1] * 3 + category[3:], [-1] * CODES)
    model = Pretrainer(
        backbone("paper", CODES, 0), targets, default_mix("paper"), seed=0
    )
    made = {
        "rowwise": lambda: RowwiseAdamW(learning_rate=1e-3, global_clipnorm=1.0),
        "keras": lambda: keras.optimizers.AdamW(1e-3, global_clipnorm=1.0),
    }
    model.compile(made[optimizer](), jit_compile=False)
    average = WeightAverage(model.trainable_variables, config.ema)
    loop = TrainingLoop(model, tf.distribute.get_strategy(), average, 1, 1)

    def before_the_last(batch: dict[str, Any]) -> dict[str, Any]:
        """Asks at the last visit but one, as the published recipe does."""
        count = tf.reduce_sum(tf.cast(batch["visit_type"] > 0, tf.int32), axis=1)
        asked = tf.gather(batch["visit_day"], count - 2, batch_dims=1)
        return {**batch, "query_day": asked[:, None]}

    live = batches_from(
        transformed(members), epoch=0, start=0, steps=len(members.visits) // BATCH,
        ahead=30, dates=1, batch_size=BATCH, limits=config.limits, seed=0,
    ).map(before_the_last)  # fmt: skip
    total = warm + steps
    result: dict[str, Any] = {"parameters": _paper_parameters(model)}
    for name, dataset in (
        ("input only", None),
        ("cached input", live.take(total).cache()),
        ("live input", live),
    ):
        if dataset is None:
            stream = iter(live.prefetch(4))
            for _ in range(warm):
                next(stream)
            begun = time.perf_counter()
            for _ in range(steps):
                next(stream)
            result[name] = time.perf_counter() - begun
            continue
        if name == "cached input":
            for _ in dataset:
                pass
        stream = iter(dataset.prefetch(4))
        losses = []
        for step in range(total):
            if step == warm:
                losses.append(float(loop._mean.result()))
                loop._mean.reset_state()
                begun, busy = time.perf_counter(), time.process_time()
            loop._train(stream)
            average.update(step + 1)
        losses.append(float(loop._mean.result()))
        result[name] = time.perf_counter() - begun
        result["cpu"] = time.process_time() - busy
        loop._mean.reset_state()
        result.setdefault("losses", losses)
    patients = visits = work = 0.0
    for batch in live.skip(warm).take(steps):
        real = (batch["visit_type"].numpy() > 0).sum(axis=1) - 1
        patients += len(real)
        visits += real.sum()
        work += flop(real) * len(real)
    return {
        **result,
        "patients": patients,
        "visits": visits,
        "flop": work,
        "seconds": result["live input"],
    }


def transformed(members: Members) -> Any:
    """The members as `preprocessing_fn` would give them, in read batches, kept."""
    import tensorflow as tf

    from claimpt_tf.training.batches import READ_BATCH

    each = tf.constant(members.visits, tf.int64)

    def ragged(values: np.ndarray) -> Any:
        return tf.RaggedTensor.from_row_lengths(values.astype(np.int64), each)

    present = members.codes > 0
    codes = tf.RaggedTensor.from_row_lengths(
        tf.RaggedTensor.from_row_lengths(
            members.codes[present], present.sum(axis=1).astype(np.int64)
        ),
        each,
    )
    day = ragged(18_000 + members.day)
    number = len(members.visits)
    features = {
        "visit_day": day,
        "visit_length": ragged(np.zeros(len(members.day))),
        "visit_type": ragged(members.kind),
        "log_cost": tf.RaggedTensor.from_row_lengths(
            np.zeros(len(members.day), np.float32), each
        ),
        "code_ids": codes,
        "stem_ids": codes,
        "enrolled_to": tf.RaggedTensor.from_row_lengths(
            np.full(number, 18_400, np.int64), np.ones(number, np.int64)
        ),
        "sex": tf.constant(1 + np.arange(number, dtype=np.int64) % 2),
        "birth_day": tf.constant(
            18_000 - 365 * (np.arange(number, dtype=np.int64) % 18)
        ),
    }
    return tf.data.Dataset.from_tensor_slices(features).batch(READ_BATCH).cache()


def flop(visits: np.ndarray) -> float:
    """Of the matrix products of one member's step, mean over members."""
    tokens = visits + 1.0
    block = tokens * 5 * 2 * WIDTH**2 + 4 * tokens**2 * WIDTH
    heads = (visits + 1) * 2 * WIDTH * CATEGORIES
    return float(3 * np.mean(block + heads + 2 * WIDTH**2))


def matmul_peak(size: int = 1536) -> float:
    """FLOP/s of one float32 matrix product of TensorFlow's, the best of ten."""
    import tensorflow as tf

    a, b = tf.random.normal((size, size)), tf.random.normal((size, size))
    product = tf.function(lambda: tf.reduce_sum(tf.matmul(a, b)))
    best = min(_seconds(lambda: float(product())) for _ in range(10))
    return 2 * size**3 / best


def _seconds(call: Any) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def _paper_parameters(model: Any) -> int:
    return int(sum(np.prod(v.shape) for v in model.trainable_variables))


def _side(name: str, file: str, steps: int, warm: int) -> None:
    with np.load(file) as loaded:
        members = Members(**{key: loaded[key] for key in loaded.files})
    if name == "plain":
        result = run_plain(members, steps, warm)
    elif name == "peak":
        result = {"flops": matmul_peak()}
    else:
        result = run_ours(members, steps, warm, name.removeprefix("ours-"))
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({**result, "memory": usage}, default=float))


def _run_side(name: str, file: str, steps: int, warm: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--side", name, "--file", file]
    command += ["--steps", str(steps), "--warm", str(warm)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@click.command(help=__doc__.split("\n")[0])
@click.option("--members", default=4000, show_default=True, help="Simulated children.")
@click.option("--steps", default=40, show_default=True, help="Timed steps a side.")
@click.option("--warm", default=8, show_default=True, help="Steps before the clock.")
@click.option("--rounds", default=2, show_default=True, help="Turns of each side.")
@click.option("--file", default="", help="Where the members are kept between runs.")
@click.option("--prepare", is_flag=True, help="Only make --file.")
@click.option("--side", default="", hidden=True)
def main(
    members: int,
    steps: int,
    warm: int,
    rounds: int,
    file: str,
    prepare: bool,
    side: str,
) -> None:
    """Runs both sides in turn and prints the table."""
    if side:
        _side(side, file, steps, warm)
        return
    with tempfile.TemporaryDirectory() as scratch:
        file = file or f"{scratch}/members.npz"
        if not Path(file).exists():
            np.savez(file, **dataclasses.asdict(simulated_year(members)))
        if prepare:
            return
        with np.load(file) as loaded:
            visits = loaded["visits"]
        results: dict[str, list[dict[str, Any]]] = {}
        for turn in range(rounds):
            for name in ("plain", "ours-rowwise", "ours-keras", "peak"):
                if turn and name in ("ours-keras", "peak"):
                    continue
                # The fast side gets more steps, so that both are timed for seconds.
                factor = {"plain": 1, "ours-keras": 2}.get(name, 4)
                found = _run_side(name, file, steps * factor, warm)
                results.setdefault(name, []).append(found)
    _show(results, visits)


def _show(results: dict[str, list[dict[str, Any]]], visits: np.ndarray) -> None:
    console = Console(highlight=False, width=100)
    peak = results["peak"][0]["flops"]
    low, middle, high = np.percentile(visits, [25, 50, 75])
    console.print(
        f"{len(visits):,} members, visits a year: mean {visits.mean():.1f}, quartiles "
        f"{low:.0f}, {middle:.0f}, {high:.0f}, {np.mean(visits == VISITS):.0%} with "
        f"{VISITS}; float32 matmul peak {peak / 1e9:.0f} GFLOP/s"
    )
    table = Table()
    for column in (
        "", "patients/s", "a CPU second", "visits/s", "ms/step", "GFLOP/s", "of peak",
        "memory", "loss",
    ):  # fmt: skip
        table.add_column(column, justify="left" if not column else "right")
    rates: dict[str, float] = {}
    busy: dict[str, float] = {}
    for name, runs in results.items():
        if name == "peak":
            continue
        best = min(runs, key=lambda run: run["seconds"] / run["patients"])
        rates[name] = best["patients"] / best["seconds"]
        busy[name] = max(run["patients"] / run["cpu"] for run in runs)
        work = best["flop"] / best["seconds"]
        table.add_row(
            name,
            f"{rates[name]:,.0f}",
            f"{busy[name]:,.0f}",
            f"{best['visits'] / best['seconds']:,.0f}",
            f"{1000 * best['seconds'] / (best['patients'] / BATCH):.1f}",
            f"{work / 1e9:.1f}",
            f"{work / peak:.0%}",
            f"{best['memory'] / 2**20:,.0f} MiB",
            " > ".join(f"{loss:.4f}" for loss in best["losses"]),
        )
    console.print(table)
    console.print(
        f"ours / plain: {rates['ours-rowwise'] / rates['plain']:.1f}x patients/s, "
        f"{busy['ours-rowwise'] / busy['plain']:.1f}x patients a CPU second (of all "
        "cores; what to read when the machine is not idle)"
    )
    ours = results["ours-rowwise"][-1]
    per = 1000 / (ours["patients"] / BATCH)
    console.print(
        f"a step of ours: {ours['live input'] * per:.1f} ms with live input, "
        f"{ours['cached input'] * per:.1f} ms with the same batches from memory; the "
        f"input alone takes {ours['input only'] * per:.1f} ms"
    )


if __name__ == "__main__":
    main()
