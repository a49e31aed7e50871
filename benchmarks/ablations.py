"""What each objective, the encoding of time and the size of the data are worth.

Every row is a run of `claimpt pretrain` on simulated children, judged on the same
held-out members by the recall of the next visit's categories. All rows have the same
seed and, but for those of other sizes, the same members and number of steps: they
are short (`BUDGET`), rank choices, and do not tell what a full run reaches. Runs that
are finished are kept, and an interrupted one goes on, so the table grows over sittings:

    claimpt simulate claims --members 20000 --seed 11
    claimpt ingest --source tuva --input claims --output records
    python benchmarks/ablations.py --data records --output runs/ablations
    python benchmarks/ablations.py --data records --output runs/ablations --only paper
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import click

MEMBERS = 5_000
SIZES = {1_000: 20, 20_000: 4}  # epochs by members, or fewer where there are fewer
BUDGET = {"epochs": 4, "batch_size": 32, "dates": 4, "max_visits": 32}
FULL = {"windows": 1.0, "next_visit": 1.0, "category": 0.5, "time_to_event": 0.5}
UNTIMED = "small-untimed"


def settings() -> dict[str, dict[str, Any]]:
    """Choices by name of the row; `members` cuts the training split."""
    rows: dict[str, dict[str, Any]] = {
        "paper": {"preset": "paper", "dates": 1},
        "small": {},
        "small, no days": {"preset": UNTIMED},
        "small, every objective": {"objectives": FULL},
    }
    for name in list(FULL)[1:]:  # windows only is `small`
        rows[f"small, {name} only"] = {"objectives": {name: 1.0}}
    for name in FULL:
        rest = {other: weight for other, weight in FULL.items() if other != name}
        rows[f"small, without {name}"] = {"objectives": rest}
    for size, epochs in SIZES.items():
        rows[f"small, {size:,} members"] = {"members": size, "epochs": epochs}
    return rows


def cut(data: Path, output: Path, members: int) -> Path:
    """The same records with a training split of the first members of each shard."""
    from claimpt_tf.visits.records import read_records, write_records

    folder = output / f"records-{members}"
    if (folder / "schema.pbtxt").exists():
        return folder
    records = read_records(sorted(data.glob("Split-train/*.gz")))
    kept = itertools.islice(records, members)
    write_records(kept, folder / "Split-train" / "data_tfrecord-00000-of-00001.gz")
    shutil.copytree(data / "Split-eval", folder / "Split-eval", dirs_exist_ok=True)
    shutil.copy(data / "schema.pbtxt", folder / "schema.pbtxt")
    return folder


def run(
    data: Path, output: Path, name: str, choices: dict[str, Any], say: Callable
) -> None:
    """Makes one row's run unless it is there."""
    import keras

    from claimpt_tf.models.backbone import ClaimBackbone
    from claimpt_tf.models.presets import PRESETS
    from claimpt_tf.training.choices import PRESET_CHOICES, PretrainConfig
    from claimpt_tf.training.pretrain_run import pretrain_run

    ClaimBackbone.sizes[UNTIMED] = {**ClaimBackbone.sizes["small"], "timed": False}
    PRESETS[UNTIMED] = ClaimBackbone
    folder = _folder(output, name)
    if (folder / "metrics.json").exists():
        return
    say(f"== {name}")
    keras.utils.clear_session()
    chosen = {**BUDGET, **choices}
    members = chosen.pop("members", MEMBERS)
    own = PRESET_CHOICES.get(chosen.get("preset", "small"), {})
    pretrain_run(
        str(cut(data, output, members)),
        str(folder),
        PretrainConfig(**{**own, **chosen}),
        resume=True,
        say=say,
    )


def table(output: Path, names: list[str]) -> str:
    """The finished rows in Markdown."""
    lines = [
        "| run | validation loss | recall@5 | @10 | @30 | members | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    plain: dict[str, Any] = {}
    for name in names:
        file = _folder(output, name) / "metrics.json"
        if not file.exists():
            continue
        metrics = json.loads(file.read_text())
        recall = dict(metrics["next_visit"]["recall"])
        network = recall.pop("network", None)
        plain = plain or recall
        best = min(epoch["val_loss"] for epoch in metrics["history"])
        lines.append(
            f"| {name} | {best:.4f} | {_figures(network)} | {metrics['members']:,} | "
            f"{metrics['seconds']:,.0f} |"
        )
    for method, by_size in plain.items():
        lines.append(f"| {method} | | {_figures(by_size)} | | |")
    return "\n".join(lines)


def _folder(output: Path, name: str) -> Path:
    return output / name.replace(", ", "-").replace(" ", "_").replace(",", "")


def _figures(by_size: dict[str, float] | None) -> str:
    if by_size is None:
        return " | | "  # learned nothing that foresees a visit
    return " | ".join(f"{by_size[size]:.3f}" for size in ("5", "10", "30"))


@click.command()
@click.option("--data", required=True, type=click.Path(path_type=Path))
@click.option("--output", required=True, type=click.Path(path_type=Path))
@click.option("--only", multiple=True, help="Rows to make; all others are left.")
def main(data: Path, output: Path, only: tuple[str, ...]) -> None:
    """Makes the runs that are missing and prints the table."""
    rows = settings()
    for name in only:
        if name not in rows:
            raise click.BadParameter(f"{name!r} is no row; there are {list(rows)}")
    output.mkdir(parents=True, exist_ok=True)
    for name, choices in rows.items():
        if not only or name in only:
            run(data, output, name, choices, click.echo)
    click.echo(table(output, list(rows)))


if __name__ == "__main__":
    main()
