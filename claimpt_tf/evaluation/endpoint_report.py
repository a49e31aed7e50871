"""`report.html` about models whose labels are not yes or no."""

from __future__ import annotations

import os
from collections.abc import Mapping

import polars as pl

from claimpt_tf.evaluation.comparison import Comparison
from claimpt_tf.evaluation.endpoints.judged import Judged
from claimpt_tf.evaluation.figure_tables import differences_table, models_table
from claimpt_tf.evaluation.learning_plot import learning_lines, learning_plots
from claimpt_tf.evaluation.page import render_page, write_page
from claimpt_tf.evaluation.report import (
    headline,
    is_number,
    shown_counts,
    subgroup_tables,
    told_of,
)
from claimpt_tf.evaluation.story import Story
from claimpt_tf.evaluation.subgroup_plot import forest_plot
from claimpt_tf.tasks.attrition import SMALLEST_CELL


def write_endpoint_report(
    path: str | os.PathLike[str],
    judged: Judged,
    comparison: Comparison,
    models: Mapping[str, pl.DataFrame],
    frame: pl.DataFrame,
    story: Story,
    split: str = "test",
) -> None:
    """Writes the page, complete or not at all; same input, same bytes.

    Args:
        path: where `report.html` goes.
        judged: the kind of label.
        comparison: what `compare_endpoints` found.
        models: model -> labels and predictions.
        frame: labelled examples.
        story: what else to tell.
        split: which split the rows are.
    """
    counts = shown_counts(comparison, story.attrition, split)
    lines = judged.lines(models)
    told = told_of(comparison, frame, story, split)
    truth = models[comparison.reference]
    told["summary"] |= judged.said(truth)
    main, figures = judged.within[0], comparison.titles
    text = render_page(
        "endpoint_report.html.j2",
        **told,
        headline=headline(comparison, counts, main, figures[main]),
        tables=[
            models_table(comparison, names, caption)
            for caption, names in judged.tables.items()
        ],
        reading=judged.reading[0],
        sides=judged.reading[1],
        differences=differences_table(comparison, judged.differences),
        lines=lines,
        plots=judged.plots(models, comparison, lines)
        if frame.height >= SMALLEST_CELL
        else [],
        subgroups=subgroup_tables(
            comparison, judged.within, outcomes=is_number(counts["positives"])
        ),
        forest=forest_plot(comparison, main),
        learning=learning_plots(story.learning, main, figures[main]),
        learning_lines=learning_lines(story.learning),
    )
    write_page(path, text)
