"""Figures of a fine-tuning run by kind of label, from its `predictions.parquet`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from rich.table import Table

from claimpt_tf.evaluation.bootstrap import REPLICATES, Draws, Interval, interval
from claimpt_tf.evaluation.endpoint_figures import FIGURES, Figures, chances_of, recalls
from claimpt_tf.evaluation.metrics import Estimate
from claimpt_tf.evaluation.recall import past_categories, plain_rankings
from claimpt_tf.tasks.spec import load_task
from claimpt_tf.tasks.transform import TASK_FILE
from claimpt_tf.visits.records import decode, read_records

METRICS_FILE: Final = "metrics.json"
FEWEST: Final = 11  # figures on fewer rows are not shown
_JUDGED = ("eval", "test")

Judged = dict[str, dict[str, Interval]]


def judge_run(
    folder: str | os.PathLike[str], replicates: int = REPLICATES
) -> dict[str, Judged]:
    """Judges a run of `claimpt finetune`, and writes `metrics.json` into it.

    Args:
        folder: of the run: `config.json`, `predictions.parquet` and `cohort/`.
        replicates: of the bootstrap over members, which gives the intervals.

    Returns:
        Split (eval, test) -> method -> figure -> value and interval. The method
        "network" is the run's model; of categories, the rankings that need no model
        stand beside it. A split of fewer than 11 rows has no figures.
    """
    run = Path(folder)
    kind = json.loads((run / "config.json").read_text())["labels"]["kind"]
    table = pl.read_parquet(run / "predictions.parquet")
    known = table.filter(pl.col("split") == "train")
    found: dict[str, Judged] = {}
    for split in _JUDGED:
        rows = table.filter(pl.col("split") == split)
        if rows.height < FEWEST:
            continue
        ways = {"network": partial(FIGURES[kind], rows)}
        if kind == "multi_label":
            records = sorted((run / "cohort" / f"Split-{split}").glob("*.gz"))
            past = past_categories(
                decode(list(read_records(records))),
                load_task(run / "cohort" / TASK_FILE).category_of,
            )
            columns, _ = chances_of(rows)
            rankings = plain_rankings(past, known["label"], columns)
            for name, scores in rankings.items():
                ways[name] = partial(recalls, scores, columns, rows["label"])
        draws = Draws(rows["patient_id"].to_numpy(), replicates)
        parts: dict[str, list[Figures]] = {name: [] for name in ways}
        for weights in draws:
            for name, way in ways.items():
                parts[name].append(way(weights[:, draws.patient_of_row]))
        found[split] = {
            name: _intervals(way(np.ones((1, rows.height))), parts[name])
            for name, way in ways.items()
        }
    part = run / f".{METRICS_FILE}.part"
    told = {
        split: {
            name: {figure: asdict(one) for figure, one in figures.items()}
            for name, figures in judged.items()
        }
        for split, judged in found.items()
    }
    part.write_text(json.dumps(told, indent=1) + "\n")
    os.replace(part, run / METRICS_FILE)
    return found


def figures_table(found: Mapping[str, Judged]) -> Table:
    """The figures for the screen."""
    table = Table(title_justify="left")
    names = [name for judged in found.values() for name in judged["network"]]
    table.add_column("split")
    table.add_column("method")
    for name in dict.fromkeys(names):
        table.add_column(name.replace("_", " "), justify="right")
    for split, judged in found.items():
        for method, figures in judged.items():
            told = (_told(figures[name]) for name in dict.fromkeys(names))
            table.add_row(split, method, *told)
    if not found:
        table.caption = f"fewer than {FEWEST} rows outside training: no figures"
    return table


def _told(one: Interval) -> str:
    if one.value is None:
        return "-"
    if one.low is None:
        return f"{one.value:.3f}"
    return f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"


def _intervals(points: Figures, drawn: list[Figures]) -> dict[str, Interval]:
    found = {}
    for name, (point,) in points.items():
        estimate = Estimate(float(point))
        if not np.isfinite(point):
            estimate = Estimate(None, "the labels do not allow it")
        found[name] = interval(estimate, np.concatenate([one[name] for one in drawn]))
    return found
