"""How good each model is with few labels, and with all.

Every model sees the same labels of the same draws and is scored on the same test rows.
What needs no label, the past of training members, all may use that can. Cells that are
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

import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import click
import polars as pl
from rich.console import Console
from rich.table import Table

SHOTS, SEEDS = (30, 100, 300, 1_000), 5


@click.command(help=__doc__)
@click.option("--data", required=True, help="Records to learn from.")
@click.option("--test", required=True, help="Records of others, of any split.")
@click.option("--base", required=True, help="Run of `claimpt pretrain`.")
@click.option("--paper", help="Run of the preset paper, for its own recipe.")
@click.option("--task", "task_name", default="asthma_exacerbation", show_default=True)
@click.option("--output", required=True, help="The study's folder.")
@click.option("--seeds", default=SEEDS, show_default=True, help="Replicates.")
@click.option("--shots", multiple=True, type=int, default=SHOTS, show_default=True)
@click.option("--only", multiple=True, help="Models to train now; others are kept.")
def main(
    data: str, test: str, base: str, paper: str | None, task_name: str, output: str,
    seeds: int, shots: tuple[int, ...], only: tuple[str, ...],
) -> None:  # fmt: skip
    """Trains what is missing, and shows the table."""
    from claimpt_tf.evaluation.baselines import LIGHTGBM, LOGISTIC, CountMatrices
    from claimpt_tf.evaluation.count_learner import CountLearner
    from claimpt_tf.evaluation.finetuned_run import labelled_rows
    from claimpt_tf.evaluation.history_model import HistoryModel
    from claimpt_tf.evaluation.learning_curve import learning_curve
    from claimpt_tf.evaluation.network_learner import NetworkLearner
    from claimpt_tf.evaluation.run_networks import PUBLISHED
    from claimpt_tf.models.presets import backbone
    from claimpt_tf.tasks.spec import load_task
    from claimpt_tf.tasks.transform import build_cohort
    from claimpt_tf.training.choices import FinetuneConfig
    from claimpt_tf.training.pretrain import load_backbone
    from claimpt_tf.training.pretrain_run import TRANSFORM_FOLDER
    from claimpt_tf.training.sources import labelled_sources
    from claimpt_tf.training.transform_graph import TransformGraph
    from claimpt_tf.visits.ids import FIRST_CODE
    from claimpt_tf.visits.splits import SPLITS

    task, folder = load_task(task_name), Path(output) / task_name
    folder.mkdir(parents=True, exist_ok=True)
    own, others = str(folder / "cohort"), str(folder / "others")
    for place, records in ((own, data), (others, test)):
        if not Path(place).exists():
            build_cohort(task, records, place)

    def sources(run: str) -> tuple[Any, dict[str, Any]]:
        graph = TransformGraph.load(str(Path(run) / TRANSFORM_FOLDER))
        patterns = {
            split: [f"{own}/Split-{split}/*"]
            for split in ("train", "eval", "unlabelled")
        }
        patterns["fresh"] = [f"{others}/Split-{split}/*" for split in SPLITS]
        return graph, labelled_sources(patterns, graph.layer)

    def rows(cohort: str, split: str) -> pl.DataFrame:
        return labelled_rows(Path(cohort), split)

    graph, read = sources(base)

    def fresh() -> Any:
        codes, stems = FIRST_CODE + len(graph.codes), FIRST_CODE + graph.stems
        return backbone("small", codes, stems)

    train = rows(own, "train")
    # In the order in which their files are read.
    asked = pl.concat([rows(others, split) for split in sorted(SPLITS)])
    adapting = FinetuneConfig(recipe="adapt")
    matrices = CountMatrices.of(train, asked)
    learners: list[Any] = [
        NetworkLearner(
            "claimpt", lambda: load_backbone(base, graph.codes), read, "fresh", task,
            graph.codes, adapting,
        ),
        NetworkLearner(
            "claimpt, from scratch", fresh, read, "fresh", task, graph.codes, adapting
        ),
        HistoryModel(train, asked, task, unlabelled=rows(own, "unlabelled")),
        *(
            CountLearner(kind, matrices)
            for kind in (LOGISTIC, LIGHTGBM)
        ),
    ]  # fmt: skip
    if paper:
        published, theirs = sources(paper)
        start = lambda: load_backbone(paper, published.codes)  # noqa: E731
        learners.append(
            NetworkLearner(
                "paper's recipe",
                start,
                theirs,
                "fresh",
                task,
                published.codes,
                PUBLISHED,
            )
        )
    kept = [one for one in learners if not only or one.name in only]
    summary = learning_curve(
        kept, train, asked, folder / "study", shots=shots, seeds=range(seeds),
        say=click.echo,
    )  # fmt: skip
    summary.write_parquet(folder / "summary.parquet")
    show(summary, f"{task_name}: {asked.height:,} test dates, simulated")
    facts = {"task": task_name, "seeds": seeds, "test_rows": asked.height}
    (folder / "facts.json").write_text(json.dumps(facts))


def show(summary: pl.DataFrame, title: str) -> None:
    """AUROC with intervals, a row a model, a column a number of labels."""
    rows = summary.filter(pl.col("metric") == "auroc")
    columns = rows["shots"].unique(maintain_order=True).to_list()
    table = Table(title=title)
    table.add_column("")
    for k in columns:
        table.add_column("all" if k is None else str(k), justify="right")
    for name in rows["model"].unique(maintain_order=True):
        cells = []
        for k in columns:
            (one,) = rows.filter(
                pl.col("model") == name, pl.col("shots").eq_missing(k)
            ).rows(named=True)
            cells.append(
                "-"
                if one["value"] is None
                else f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"
            )
        table.add_row(name, *cells)
    Console(width=140, highlight=False).print(table)


if __name__ == "__main__":
    main()
