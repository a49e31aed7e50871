"""Recall at k of multi-label tasks: how much of what came is among the k likeliest.

The figure of auto-diagnosis (Zeng et al., Sci Rep 12:3651, 2022): of the categories of
a member's next visit, the share that stands among the k that score highest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from claimpt_tf.codes.categories import CategoryOf
from claimpt_tf.errors import ArtifactError

SIZES = (5, 10, 30)


def recall_at(
    scores: ArrayLike,
    categories: Sequence[str],
    came: pl.Series,
    sizes: Sequence[int] = SIZES,
) -> pl.DataFrame:
    """Recall of each row at each size; their mean over rows is the figure.

    Args:
        scores: float [N, K], higher is likelier; each row ranks the K categories, ties
            in the order of `categories`.
        categories: the K categories, each once.
        came: List(String) [N], what came, as `label_categories` of labelled examples
            has it; at least one each. A category that is not among the K counts as
            missed.
        sizes: lengths of the list; one beyond K takes all.

    Returns:
        One Float64 column a size, `recall_at_5` and so on: the share of what came
        that is on the list.

    Raises:
        ArtifactError: shapes differ, a category stands twice, or a row has none.

    >>> scores = [[0.9, 0.5, 0.1], [0.1, 0.5, 0.9]]
    >>> came = pl.Series([["a", "c"], ["b", "x"]])
    >>> recall_at(scores, ["a", "b", "c"], came, sizes=[1, 2]).rows()
    [(0.5, 0.5), (0.0, 0.5)]
    """
    ranked, true, missed = _checked(scores, categories, came)
    total = true.sum(axis=1) + missed
    order = np.argsort(-ranked, axis=1, kind="stable")
    hits = np.take_along_axis(true, order, axis=1).cumsum(axis=1)
    columns = {}
    for size in sizes:
        found = hits[:, min(size, hits.shape[1]) - 1]
        columns[f"recall_at_{size}"] = found / total
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.Float64))


def past_categories(examples: pl.DataFrame, category_of: CategoryOf) -> pl.Series:
    """Categories of all known codes of each labelled example, List(String) [N].

    Args:
        examples: with a column `codes`, List(List(String)).
        category_of: maps codes to categories, one each.
    """
    coded = examples.select("codes", row=pl.int_range(pl.len())).explode("codes")
    coded = coded.explode("codes").drop_nulls()
    distinct = coded["codes"].unique()
    names = pl.DataFrame(
        {"codes": distinct, "category": category_of(distinct.to_list())}
    )
    return (
        pl.DataFrame({"row": pl.int_range(examples.height, eager=True)})
        .join(coded.join(names, on="codes"), on="row", how="left")
        .group_by("row", maintain_order=True)
        .agg(pl.col("category").drop_nulls())
        .sort("row")["category"]
    )


def plain_rankings(
    past: pl.Series, train: pl.Series, categories: Sequence[str]
) -> Mapping[str, NDArray[np.float64]]:
    """Scores that need no model: the rivals that every table of recall shows.

    Args:
        past: List(String) [N], categories of all a member's known codes, repeats kept.
        train: List(String) [M], what came in the training rows.
        categories: the K categories.

    Returns:
        [N, K] each: `frequent` ranks by how often a category came in training,
        `repeated` by how often the member had it, then by `frequent`.
    """
    place = {name: number for number, name in enumerate(categories)}
    frequent = _counts(train.explode().rename("category"), place)
    frequent = frequent / max(frequent.sum(), 1.0)
    own = np.zeros((len(past), len(categories)))
    for row, names in enumerate(past.to_list()):
        for name in names or ():
            if name in place:
                own[row, place[name]] += 1
    return {
        "frequent": np.repeat(frequent[None], len(past), axis=0),
        "repeated": own + frequent[None],
    }


def _counts(names: pl.Series, place: Mapping[str, int]) -> NDArray[np.float64]:
    counts = np.zeros(len(place))
    for name, rows in names.drop_nulls().value_counts().iter_rows():
        if name in place:
            counts[place[name]] = rows
    return counts


def _checked(
    scores: ArrayLike, categories: Sequence[str], came: pl.Series
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Scores, what came as [N, K], and how many of it are not among the K."""
    ranked = np.asarray(scores, dtype=np.float64)
    if ranked.shape != (len(came), len(categories)):
        raise ArtifactError(
            f"scores of shape {ranked.shape} for {len(came)} rows and "
            f"{len(categories)} categories"
        )
    if len(set(categories)) < len(categories):
        raise ArtifactError("a category stands twice among those that are scored")
    place = {name: number for number, name in enumerate(categories)}
    true = np.zeros(ranked.shape, dtype=bool)
    missed = np.zeros(len(came), dtype=np.int64)
    for row, names in enumerate(came.to_list()):
        if not names:
            raise ArtifactError(f"row {row} has no category that came; leave it out")
        for name in set(names):
            if name in place:
                true[row, place[name]] = True
            else:
                missed[row] += 1
    return ranked, true, missed
