"""`report.html`: one self-contained page about a comparison of models."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from claimpt_tf.evaluation.compare import Comparison, number, with_interval
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

COMPARED: Final = "auroc"  # of a group, with everybody else in its grouping
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
    task = story.task
    default = f"claimpt run --source {story.source or 'SOURCE'} --input CLAIMS"
    default += f" --task {task.name} --output RUN"
    counts = shown_counts(comparison, story.attrition, split)
    if not _is_number(counts["positives"]):
        comparison = _without_constant_scores(comparison, scores)
    return render_page(
        "report.html.j2",
        kind="evaluation report",
        title=title_of(task),
        description=task.description,
        synthetic=synthetic_note(story.source, story.simulated),
        main=main,
        headline=_headline(comparison, counts),
        question=question_of(task),
        attrition=story.attrition,
        source=source_title(story.source),
        split=split,
        parted=story.split,
        counts=counts,
        summary=data_summary(frame),
        discrimination=models_table(
            comparison, DISCRIMINATION, "Who is ranked above whom"
        ),
        calibration=models_table(
            comparison, CALIBRATION, "Whether probabilities can be taken at their word"
        ),
        differences=differences_table(comparison),
        reasons=reasons_of(comparison),
        lines=lines_of(scores),
        plots=_plots(comparison, scores, frame["label"].to_numpy(), main),
        subgroups=_subgroup_tables(
            comparison, main, outcomes=_is_number(counts["positives"])
        ),
        forest=forest_plot(comparison),
        learning=learning_plots(story.learning, "auroc", "AUROC"),
        learning_lines=learning_lines(story.learning),
        examples=story.examples,
        hidden_subgroups=any(group.suppressed for group in comparison.subgroups),
        smallest_cell=SMALLEST_CELL,
        comparison=comparison,
        commands=list(story.commands) or [default],
        run_id=story.run_id,
        versions=versions(),
        model=dict(story.facts),
        lineage=dict(story.lineage),
        notes=list(story.notes),
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


def shown_counts(
    comparison: Comparison, attrition: Mapping[str, Any] | None, split: str
) -> dict[str, str]:
    """Members, rows and positives of the split as the attrition table shows them.

    A count that the attrition withholds stays withheld, so that no other split's can
    be had by subtraction.
    """
    counts: dict[str, int | str] = {
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


def _headline(
    comparison: Comparison, counts: Mapping[str, str]
) -> list[tuple[str, str, str]]:
    """(figure, what it is, small print) at the top of the page."""
    auroc = comparison.models[comparison.reference]["auroc"]
    bounds = ""
    if auroc.low is not None and auroc.high is not None:
        bounds = f"{comparison.level:.0%} interval {auroc.low:.3f} to {auroc.high:.3f}"
    tiles = [
        (number(auroc.value), "AUROC", bounds or (auroc.reason or "")),
        (counts["members"], "members", f"with {counts['rows']} index dates"),
    ]
    if _is_number(counts["positives"]):
        rate = f"{comparison.prevalence:.1%} of index dates"
    else:
        rate = "withheld, as some count is small"
    return [*tiles, (counts["positives"], "with the outcome", rate)]


def _is_number(count: str) -> bool:
    return count.replace(",", "").isdigit()


def _subgroup_tables(
    comparison: Comparison, main: str, outcomes: bool
) -> list[FigureTable]:
    """A table a grouping; without `outcomes`, whose sum is withheld elsewhere."""
    headings = ["members", *(["outcomes"] if outcomes else [])]
    headings += [comparison.titles[name] for name in SUBGROUP_FIGURES]
    headings += [f"{comparison.titles[COMPARED]}, to all others", "p"]
    tables = []
    for by in dict.fromkeys(group.by for group in comparison.subgroups):
        rows: list[tuple[str, Sequence[FigureCell]]] = []
        for group in comparison.subgroups:
            if group.by != by:
                continue
            if group.suppressed:
                rows.append((group.level, [FigureCell("not shown")]))
                continue
            figures = group.models[main]
            counts = [group.patients, *([group.positives] if outcomes else [])]
            cells = [FigureCell(cell(count)) for count in counts]
            cells += [figure_cell(figures[name]) for name in SUBGROUP_FIGURES]
            gap, p = group.differences.get(COMPARED), group.adjusted.get(COMPARED)
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
