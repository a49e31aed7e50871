"""How good each model is with few labels, and with all.

Every model sees the same labels of the same draws and is scored on the same test rows.
What needs no label, the past of training members, all may use that can. With
`--recipes` the ways to train the same network are compared instead. Cells that are
done are kept, so that a study goes on where it stood:

    claimpt simulate claims --members 20000 --seed 11
    claimpt ingest --source tuva --input claims --output records
    claimpt pretrain --data records --output run
    claimpt simulate others --members 40000 --seed 123   # the test members
    claimpt ingest --source tuva --input others --output other_records
    python benchmarks/shots.py --data records --test other_records --base run \\
        --task asthma_exacerbation --output study
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import click
import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

SHOTS, SEEDS = (30, 100, 300, 1_000), 5
NETWORK, FRESH, PAST = "claimpt", "claimpt, from scratch", "LightGBM, same past"
LABELS, FRESH_LABELS = "labels only, pre-trained", "labels only, from scratch"
RECIPES: dict[str, dict[str, Any]] = {
    "flat: one rate for all layers": {"layer_decay": 1.0},
    "flat, the head begins with what is known": {"layer_decay": 1.0, "foreknown": True},
    "layer-wise: 0.7 of the layer above": {},
    "ULMFiT: 1/2.6, slanted, unfrozen from the top": {
        "layer_decay": 1 / 2.6, "schedule": "slanted", "unfreeze": True,
    },
    "embeddings frozen": {"train": "freeze"},
    "backbone frozen, head trained": {"train": "probe"},
    "backbone frozen, regularised head": {"recipe": "head"},
    "backbone frozen, head on what is known": {"recipe": "head", "foreknown": True},
}  # fmt: skip


@click.command(help=__doc__)
@click.option("--data", required=True, help="Records to learn from.")
@click.option("--test", required=True, help="Records of others, of any split.")
@click.option("--base", required=True, help="Run of `claimpt pretrain`.")
@click.option("--paper", help="Run of the preset paper, for its own recipe.")
@click.option(
    "--beside", multiple=True, help="NAME=RUN: another pre-training run, repeatable."
)
@click.option("--truth", help="Table of true risks of --test, from the simulator.")
@click.option("--key-file", help="Key that --test was hashed with.")
@click.option("--task", "task_name", default="asthma_exacerbation", show_default=True)
@click.option("--output", required=True, help="The study's folder.")
@click.option("--seeds", default=SEEDS, show_default=True, help="Replicates.")
@click.option("--shots", multiple=True, type=int, default=SHOTS, show_default=True)
@click.option("--all/--no-all", "everything", default=True, help="All labels, too.")
@click.option("--processes", default=2, show_default=True, help="Cells at once.")
@click.option("--adaptations", default=3, show_default=True, help="Networks adapted.")
@click.option("--recipes", is_flag=True, help="Ways to train on the labels.")
@click.option("--only", multiple=True, help="Models to train now; others are kept.")
def main(
    data: str, test: str, base: str, paper: str | None, beside: tuple[str, ...],
    truth: str | None, key_file: str | None, task_name: str, output: str, seeds: int,
    shots: tuple[int, ...], everything: bool, processes: int, adaptations: int,
    recipes: bool, only: tuple[str, ...],
) -> None:  # fmt: skip
    """Trains what is missing, and shows the table."""
    from claimpt_tf.evaluation.baselines import LIGHTGBM, LOGISTIC, CountMatrices
    from claimpt_tf.evaluation.cells import draws_of
    from claimpt_tf.evaluation.count_learner import CountLearner
    from claimpt_tf.evaluation.evaluate import true_risk
    from claimpt_tf.evaluation.finetuned_run import labelled_rows
    from claimpt_tf.evaluation.history_model import HistoryModel
    from claimpt_tf.evaluation.learning_curve import compared, learning_curve
    from claimpt_tf.evaluation.network_learner import SAME, NetworkLearner
    from claimpt_tf.evaluation.run_networks import PUBLISHED
    from claimpt_tf.tasks.spec import load_task
    from claimpt_tf.tasks.transform import build_cohort
    from claimpt_tf.training.choices import FinetuneConfig
    from claimpt_tf.visits.splits import SPLITS

    task, folder = load_task(task_name), Path(output) / task_name
    folder.mkdir(parents=True, exist_ok=True)
    own, others = folder / "cohort", folder / "others"
    for cohort, records in ((own, data), (others, test)):
        if not cohort.exists():
            build_cohort(task, records, str(cohort))

    files = {
        split: [f"{own}/Split-{split}/*"] for split in ("train", "eval", "unlabelled")
    }
    files["fresh"] = [f"{others}/Split-{split}/*" for split in SPLITS]

    def learner(
        name: str, run: str, fresh: str | None = None, **choices: Any
    ) -> NetworkLearner:
        config = FinetuneConfig(**choices)
        return NetworkLearner(
            name, run, files, "fresh", task, config, fresh, adaptations
        )

    train = labelled_rows(own, "train")
    # In the order in which their files are read.
    asked = pl.concat([labelled_rows(others, split) for split in sorted(SPLITS)])
    say = click.echo
    learners: list[Any]
    if recipes:
        learners = [
            learner(name, base, **{"recipe": "labels", "foreknown": False, **choices})
            for name, choices in RECIPES.items()
        ]
        learners.append(learner("adapted, regularised head", base, recipe="adapt"))
    else:
        matrices = CountMatrices.of(train, asked)
        past = HistoryModel(
            train, asked, task, unlabelled=labelled_rows(own, "unlabelled")
        )
        past.name = PAST
        learners = [
            learner(NETWORK, base, recipe="adapt"),
            learner(FRESH, base, fresh=SAME, recipe="adapt"),
            past,
            *(CountLearner(kind, matrices) for kind in (LOGISTIC, LIGHTGBM)),
            learner(LABELS, base, recipe="labels", foreknown=False),
            learner(FRESH_LABELS, base, fresh=SAME, recipe="labels"),
        ]
        for name, _, run in (one.rpartition("=") for one in beside):
            learners.insert(1, learner(name, run, recipe="adapt"))
        if paper:
            published = PUBLISHED.model_dump()
            learners.append(learner("paper's recipe", paper, **published))
    kept = [one for one in learners if not only or one.name in only]
    kind = "recipes" if recipes else "study"
    place, seen = folder / kind, range(seeds)
    summary = learning_curve(
        kept,
        train,
        asked,
        place,
        shots=shots,
        seeds=seen,
        everything=everything,
        processes=processes,
        say=say,
    )
    summary.write_parquet(folder / f"{kind}.parquet")
    show(summary, f"{task_name}: {asked.height:,} test dates, simulated")
    plot(summary, folder / f"{kind}.png")
    if truth:
        risk = true_risk(asked, task, truth, key_file)
        assert risk is not None
        say(f"best possible: {_auroc(asked['label'], risk):.3f}")
    if recipes or not everything or 100 not in shots:
        return
    at = {
        k: [one for one in draws_of(train, shots, seen) if one.shots == k]
        for k in (100, None)
    }
    trained = {one.name for one in kept}
    for name, k in ((LOGISTIC, None), (LIGHTGBM, None), (PAST, None), (PAST, 100)):
        if not {NETWORK, name} <= trained:
            continue
        found = compared((NETWORK, at[100]), (name, at[k]), asked, place)
        say(
            f"{NETWORK} with 100 labels, {name} with {k or 'all'}: "
            f"{found['difference']:+.3f} [{found['difference_low']:+.3f}, "
            f"{found['difference_high']:+.3f}]"
        )


def _auroc(labels: Any, scores: Any) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores))


def plot(summary: pl.DataFrame, path: Path) -> None:
    """AUROC by labelled members, with intervals, as a picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = summary.filter(pl.col("metric") == "auroc", pl.col("value").is_not_null())
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    names = rows["model"].unique(maintain_order=True).to_list()
    members = rows["members"].unique().sort()
    for number, name in enumerate(names):
        own = rows.filter(pl.col("model") == name).sort("members")
        x = own["members"].to_numpy() * 1.02 ** (number - len(names) / 2)
        value = own["value"].to_numpy()
        far = np.abs(own.select("low", "high").to_numpy().T - value)
        axes.errorbar(x, value, far, marker="o", label=name, linewidth=1.2, capsize=2)
    axes.set_xscale("log")
    axes.set_xticks(members, [f"{one:,.0f}" for one in members], minor=False)
    axes.minorticks_off()
    axes.set_xlabel("labelled members")
    axes.set_ylabel("AUROC on other simulated members")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", fontsize=8, frameon=False)
    figure.savefig(path, dpi=130)


def show(summary: pl.DataFrame, title: str) -> None:
    """AUROC with intervals, a row a model, a column a number of labels."""
    rows = summary.filter(pl.col("metric") == "auroc")
    columns = rows["shots"].unique(maintain_order=True).to_list()
    table = Table(title=title)
    table.add_column("AUROC; then difference to the first")
    for k in columns:
        table.add_column("all" if k is None else str(k), justify="right")
    for name in rows["model"].unique(maintain_order=True):
        cells = []
        for k in columns:
            (one,) = rows.filter(
                pl.col("model") == name, pl.col("shots").eq_missing(k)
            ).rows(named=True)
            text = "-"
            if one["low"] is not None:
                text = f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"
            if one["difference_low"] is not None:
                low, high = one["difference_low"], one["difference_high"]
                text += f"\n{one['difference']:+.3f} [{low:+.3f}, {high:+.3f}]"
            cells.append(text)
        table.add_row(name, *cells)
    Console(width=140, highlight=False).print(table)


if __name__ == "__main__":
    main()
