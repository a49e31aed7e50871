"""Figures of a fine-tuning run by kind of label, from its `predictions.parquet`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.table import Table
from sklearn.metrics import log_loss, r2_score, roc_auc_score

from claimpt_tf.codes.categories import CategoryOf
from claimpt_tf.evaluation.recall import plain_rankings, recall_at
from claimpt_tf.tasks.spec import load_task
from claimpt_tf.tasks.transform import TASK_FILE
from claimpt_tf.visits.records import decode, read_records

METRICS_FILE: Final = "metrics.json"
FEWEST: Final = 11  # figures on fewer rows are not shown
_JUDGED = ("eval", "test")
_PROBABILITY = "probability_"

Figures = dict[str, float]


def judge_run(folder: str | os.PathLike[str]) -> dict[str, dict[str, Figures]]:
    """Judges a run of `claimpt finetune`, and writes `metrics.json` into it.

    Args:
        folder: of the run: `config.json`, `predictions.parquet` and `cohort/`.

    Returns:
        Split (eval, test) -> method -> figure -> value. The method "network" is the
        run's model; of categories, the rankings that need no model stand beside it.
        A split of fewer than 11 rows has no figures.
    """
    run = Path(folder)
    kind = json.loads((run / "config.json").read_text())["labels"]["kind"]
    table = pl.read_parquet(run / "predictions.parquet")
    known = table.filter(pl.col("split") == "train")
    found: dict[str, dict[str, Figures]] = {}
    for split in _JUDGED:
        rows = table.filter(pl.col("split") == split)
        if rows.height < FEWEST:
            continue
        found[split] = {"network": FIGURES[kind](rows)}
        if kind == "multi_label":
            category_of = load_task(run / "cohort" / TASK_FILE).category_of
            records = run / "cohort" / f"Split-{split}"
            found[split] |= _rivals(rows, known, records, category_of)
    part = run / f".{METRICS_FILE}.part"
    part.write_text(json.dumps(found, indent=1) + "\n")
    os.replace(part, run / METRICS_FILE)
    return found


def figures_table(found: Mapping[str, Mapping[str, Figures]]) -> Table:
    """The figures for the screen."""
    table = Table(title_justify="left")
    names = [name for methods in found.values() for name in methods["network"]]
    table.add_column("split")
    table.add_column("method")
    for name in dict.fromkeys(names):
        table.add_column(name.replace("_", " "), justify="right")
    for split, methods in found.items():
        for method, figures in methods.items():
            values = (f"{figures[name]:.3f}" for name in dict.fromkeys(names))
            table.add_row(split, method, *values)
    if not found:
        table.caption = f"fewer than {FEWEST} rows outside training: no figures"
    return table


def risk_figures(rows: pl.DataFrame) -> Figures:
    """AUROC (nan with one class) and log loss of probabilities."""
    label, chance = rows["label"].to_numpy(), rows["probability"].to_numpy()
    return {
        "auroc": roc_auc_score(label, chance) if 0 < label.mean() < 1 else np.nan,
        "log_loss": log_loss(label, chance, labels=[0, 1]),
    }


def class_figures(rows: pl.DataFrame) -> Figures:
    """Accuracy, log loss, and AUROC of each class that came, averaged.

    >>> rows = {"label": ["a", "b"], "probability_a": [0.8, 0.5]}
    >>> rows = pl.DataFrame(rows | {"probability_b": [0.2, 0.5]})
    >>> {name: round(value, 2) for name, value in class_figures(rows).items()}
    {'accuracy': 0.5, 'log_loss': 0.46, 'auroc': 1.0}
    """
    names, chances = _chances(rows)
    place = {name: n for n, name in enumerate(names)}
    label = np.array([place[name] for name in rows["label"]])
    true = np.eye(len(names))[label]
    both = [n for n, share in enumerate(true.mean(axis=0)) if 0 < share < 1]
    return {
        "accuracy": float(np.mean(chances.argmax(axis=1) == label)),
        "log_loss": float(-np.mean(np.log(np.maximum(chances[true > 0], 1e-15)))),
        "auroc": float(
            np.mean([roc_auc_score(true[:, n], chances[:, n]) for n in both])
        )
        if both
        else np.nan,
    }


def category_figures(rows: pl.DataFrame) -> Figures:
    """Recall at 5, 10 and 30, averaged over rows."""
    names, chances = _chances(rows)
    return _recalls(chances, names, rows["label"])


def number_figures(rows: pl.DataFrame) -> Figures:
    """Mean absolute error, root of the mean squared error, and R2.

    >>> rows = pl.DataFrame({"label": [1.0, 3.0], "prediction": [1.0, 2.0]})
    >>> number_figures(rows)["mean_absolute_error"]
    0.5
    """
    label, given = rows["label"].to_numpy(), rows["prediction"].to_numpy()
    error = given - label
    return {
        "mean_absolute_error": float(np.mean(np.abs(error))),
        "root_mean_squared_error": float(np.sqrt(np.mean(error**2))),
        "r2": float(r2_score(label, given)),
    }


def event_figures(rows: pl.DataFrame) -> Figures:
    """Harrell's C of the risk by the last horizon.

    >>> rows = {"label": [1, 1, 0], "label_days": [10.0, 20.0, 15.0]}
    >>> event_figures(pl.DataFrame(rows | {"risk_365d": [0.9, 0.5, 0.6]}))
    {'concordance': 1.0}
    """
    risk = rows[[name for name in rows.columns if name.startswith("risk_")][-1]]
    return {
        "concordance": concordance(
            rows["label"].to_numpy(), rows["label_days"].to_numpy(), risk.to_numpy()
        )
    }


def concordance(
    seen: NDArray[np.int64], days: NDArray[np.float64], risk: NDArray[np.float64]
) -> float:
    """Share of comparable pairs in which who came first had the higher risk.

    A pair is comparable where the earlier of the two was seen to have the event; who
    was censored on that day outlived it. Equal risks count half (Harrell, 1982).

    Args:
        seen: 1 where the event was seen, 0 where follow-up ended, [N].
        days: to the event or the last look, [N].
        risk: higher is sooner, [N].

    Returns:
        nan where no pair is comparable.
    """
    better = pairs = 0.0
    for n in np.flatnonzero(seen):
        outlived = (days > days[n]) | ((days == days[n]) & (seen == 0))
        pairs += outlived.sum()
        others = risk[outlived]
        better += (risk[n] > others).sum() + (risk[n] == others).sum() / 2
    return better / pairs if pairs else np.nan


FIGURES: Final[Mapping[str, Callable[[pl.DataFrame], Figures]]] = {
    "binary": risk_figures,
    "multi_class": class_figures,
    "multi_label": category_figures,
    "regression": number_figures,
    "time_to_event": event_figures,
}


def _rivals(
    rows: pl.DataFrame, known: pl.DataFrame, records: Path, category_of: CategoryOf
) -> dict[str, Figures]:
    """Rankings by how often a category came to others, and to the member before."""
    examples = decode(list(read_records(sorted(records.glob("*.gz")))))
    coded = examples.select("codes", row=pl.int_range(pl.len())).explode("codes")
    coded = coded.explode("codes").drop_nulls()
    distinct = coded["codes"].unique()
    names = pl.DataFrame(
        {"codes": distinct, "category": category_of(distinct.to_list())}
    )
    past = (
        pl.DataFrame({"row": pl.int_range(examples.height, eager=True)})
        .join(coded.join(names, on="codes"), on="row", how="left")
        .group_by("row", maintain_order=True)
        .agg(pl.col("category").drop_nulls())
        .sort("row")["category"]
    )
    columns, _ = _chances(rows)
    ranked = plain_rankings(past, known["label"], columns)
    return {
        name: _recalls(scores, columns, rows["label"])
        for name, scores in ranked.items()
    }


def _chances(rows: pl.DataFrame) -> tuple[list[str], NDArray[np.float64]]:
    columns = [name for name in rows.columns if name.startswith(_PROBABILITY)]
    names = [name.removeprefix(_PROBABILITY) for name in columns]
    return names, rows.select(columns).to_numpy()


def _recalls(scores: NDArray[np.float64], names: list[str], came: pl.Series) -> Figures:
    means = recall_at(scores, names, came).mean().row(0, named=True)
    return {name: float(value) for name, value in means.items()}
