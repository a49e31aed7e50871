"""`report.html`: one self-contained page about a comparison of models."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from claimpt_tf.evaluation.comparison import Comparison, number, with_interval
from claimpt_tf.evaluation.data_summary import data_summary
from claimpt_tf.evaluation.drawing import Plot, lines_of
from claimpt_tf.evaluation.figure_tables import (
    CALIBRATION,
    DISCRIMINATION,
    FigureCell,
    FigureTable,
    differences_table,
    figure_cell,
    models_table,
    reasons_of,
)
from claimpt_tf.evaluation.learning_plot import learning_lines, learning_plots
from claimpt_tf.evaluation.page import cell, render_page, write_page
from claimpt_tf.evaluation.plots import (
    calibration_plot,
    decision_plot,
    precision_recall_plot,
    roc_plot,
    score_plot,
)
from claimpt_tf.evaluation.provenance import source_title, synthetic_note, versions
from claimpt_tf.evaluation.question import question_of, title_of
from claimpt_tf.evaluation.story import Story
from claimpt_tf.evaluation.subgroup_plot import forest_plot
from claimpt_tf.evaluation.subgroups import TITLES
from claimpt_tf.evaluation.weighted import Floats
from claimpt_tf.tasks.attrition import SMALLEST_CELL

SUBGROUP_FIGURES: Final = ("auroc", "auprc", "brier", "calibration_in_the_large")


def write_report(
    path: str | os.PathLike[str],
    comparison: Comparison,
    predictions: Mapping[str, ArrayLike],
    frame: pl.DataFrame,
    story: Story,
    split: str = "test",
) -> None:
    """Writes the page, complete or not at all; same input, same bytes.

    Args:
        path: where `report.html` goes.
        comparison: what `compare` found; its reference is the model the page is
            about.
        predictions: what `compare` was given.
        frame: what `compare` was given.
        story: what else to tell; its commands are by default those of `claimpt run`.
        split: which split the rows are.
    """
    write_page(path, render_report(comparison, predictions, frame, story, split))


def render_report(
    comparison: Comparison,
    predictions: Mapping[str, ArrayLike],
    frame: pl.DataFrame,
    story: Story,
    split: str = "test",
) -> str:
    """The page's HTML; arguments as in `write_report`."""
    scores = {
        model: np.asarray(given, dtype=np.float64)
        for model, given in predictions.items()
    }
    main = comparison.reference
    counts = shown_counts(comparison, story.attrition, split)
    if not is_number(counts["positives"]):
        comparison = _without_constant_scores(comparison, scores)
    return render_page(
        "report.html.j2",
        **told_of(comparison, frame, story, split),
        headline=headline(comparison, counts, "auroc", "AUROC"),
        discrimination=models_table(
            comparison, DISCRIMINATION, "Who is ranked above whom"
        ),
        calibration=models_table(
            comparison, CALIBRATION, "Whether probabilities can be taken at their word"
        ),
        differences=differences_table(comparison),
        lines=lines_of(scores),
        plots=_plots(comparison, scores, frame["label"].to_numpy(), main),
        subgroups=subgroup_tables(
            comparison, SUBGROUP_FIGURES, outcomes=is_number(counts["positives"])
        ),
        forest=forest_plot(comparison),
        learning=learning_plots(story.learning, "auroc", "AUROC"),
        learning_lines=learning_lines(story.learning),
        capacity=models_table(
            comparison,
            [name for name in comparison.titles if name.endswith("_at_capacity")],
            "When a care team takes up a share of the rows",
        ),
        flagged=models_table(
            comparison,
            [name for name in comparison.titles if name.endswith("_at_threshold")],
            "When everybody above a probability is flagged",
        ),
    )


def told_of(
    comparison: Comparison, frame: pl.DataFrame, story: Story, split: str
) -> dict[str, Any]:
    """What a page tells besides figures; arguments as in `write_report`."""
    task = story.task
    default = f"claimpt run --source {story.source or 'SOURCE'} --input CLAIMS"
    default += f" --task {task.name} --output RUN"
    return {
        "kind": "evaluation report",
        "title": title_of(task),
        "description": task.description,
        "synthetic": synthetic_note(story.source, story.simulated),
        "main": comparison.reference,
        "question": question_of(task),
        "attrition": story.attrition,
        "source": source_title(story.source),
        "split": split,
        "parted": story.split,
        "summary": data_summary(frame),
        "reasons": reasons_of(comparison),
        "examples": story.examples,
        "hidden_subgroups": any(group.suppressed for group in comparison.subgroups),
        "smallest_cell": SMALLEST_CELL,
        "comparison": comparison,
        "commands": list(story.commands) or [default],
        "run_id": story.run_id,
        "versions": versions(),
        "model": dict(story.facts),
        "lineage": dict(story.lineage),
        "notes": list(story.notes),
    }


def shown_counts(
    comparison: Comparison, attrition: Mapping[str, Any] | None, split: str
) -> dict[str, str]:
    """Members, rows and positives of the split as the attrition table shows them.

    A count that the attrition withholds stays withheld, so that no other split's can
    be had by subtraction.
    """
    counts: dict[str, int | str | None] = {
        "members": comparison.patients,
        "rows": comparison.n,
        "positives": comparison.positives,
    }
    published = (attrition or {}).get("splits", {}).get(split, {})
    for name, count in counts.items():
        if isinstance(published.get(name), str):
            counts[name] = published[name]
        elif isinstance(count, int) and 0 < count < SMALLEST_CELL:
            counts[name] = f"<{SMALLEST_CELL}"
    return {name: cell(count) for name, count in counts.items()}


def _without_constant_scores(
    comparison: Comparison, scores: Mapping[str, Floats]
) -> Comparison:
    """Leaves out models whose AUPRC and PPV are the prevalence, so the count itself."""
    told = [
        model
        for model in comparison.models
        if np.ptp(scores[model]) > 0 or model == comparison.reference
    ]
    return replace(
        comparison,
        models={model: comparison.models[model] for model in told},
        differences={
            model: found
            for model, found in comparison.differences.items()
            if model in told
        },
    )


def headline(
    comparison: Comparison, counts: Mapping[str, str], figure: str, title: str
) -> list[tuple[str, str, str]]:
    """(figure, what it is, small print) at the top of the page."""
    one = comparison.models[comparison.reference][figure]
    bounds = ""
    if one.low is not None and one.high is not None:
        bounds = f"{comparison.level:.0%} interval {one.low:.3f} to {one.high:.3f}"
    tiles = [
        (number(one.value), title, bounds or (one.reason or "")),
        (counts["members"], "members", f"with {counts['rows']} index dates"),
    ]
    if comparison.positives is None:
        return tiles
    if is_number(counts["positives"]):
        rate = f"{comparison.prevalence:.1%} of index dates"
    else:
        rate = "withheld, as some count is small"
    return [*tiles, (counts["positives"], "with the outcome", rate)]


def is_number(count: str) -> bool:
    """Whether a count is shown, not withheld."""
    return count.replace(",", "").isdigit()


def subgroup_tables(
    comparison: Comparison, figures: Sequence[str], outcomes: bool
) -> list[FigureTable]:
    """A table a grouping; without `outcomes`, whose sum is withheld elsewhere.

    The first of the figures is compared with everybody else's in the grouping.
    """
    main, compared = comparison.reference, figures[0]
    headings = ["members", *(["outcomes"] if outcomes else [])]
    headings += [comparison.titles[name] for name in figures]
    headings += [f"{comparison.titles[compared]}, to all others", "p"]
    tables = []
    for by in dict.fromkeys(group.by for group in comparison.subgroups):
        rows: list[tuple[str, Sequence[FigureCell]]] = []
        for group in comparison.subgroups:
            if group.by != by:
                continue
            if group.suppressed:
                rows.append((group.level, [FigureCell("not shown")]))
                continue
            found = group.models[main]
            counts = [group.patients, *([group.positives] if outcomes else [])]
            cells = [FigureCell(cell(count)) for count in counts]
            cells += [figure_cell(found[name]) for name in figures]
            gap, p = group.differences.get(compared), group.adjusted.get(compared)
            cells.append(FigureCell("") if gap is None else figure_cell(gap, "+"))
            cells.append(FigureCell("" if p is None else f"{p:.3f}"))
            rows.append((group.level, cells))
        tables.append(FigureTable(TITLES.get(by, by), headings, rows))
    return tables


def _plots(
    comparison: Comparison, scores: Mapping[str, Floats], labels: Floats, main: str
) -> list[Plot]:
    """No curve of fewer than 11 persons with or without the outcome."""
    labels = labels.astype(np.float64)
    fewest = min(labels.sum(), len(labels) - labels.sum())
    if fewest < SMALLEST_CELL or np.ptp(scores[main]) == 0:
        return []
    told = {
        name: "; ".join(
            f"{model} {with_interval(figures[name])}"
            for model, figures in comparison.models.items()
        )
        for name in ("auroc", "auprc")
    }
    return [
        roc_plot(labels, scores, f"Area under the curve: {told['auroc']}."),
        precision_recall_plot(labels, scores, f"Average precision: {told['auprc']}."),
        calibration_plot(labels, scores, main),
        decision_plot(labels, scores, comparison.threshold),
        score_plot(labels, scores, main),
    ]
