"""How well the next visit's categories are foreseen, beside what needs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from rich.table import Table

from claimpt_tf.codes.categories import category_of
from claimpt_tf.training.choices import Limits
from claimpt_tf.training.inputs import as_of
from claimpt_tf.training.pretrainer import Pretrainer
from claimpt_tf.visits.ids import FIRST_CODE

SIZES = (5, 10, 30)
FEWEST = 11  # figures on fewer members are not shown
_BATCH = 256


@dataclass(frozen=True)
class NextVisitRecall:
    """Recall of the categories coded on the next day with a visit.

    Each held-out member is asked once, at the end of what is known before the last
    day with a visit. Recall at k is the share of that day's categories that stand
    among the k likeliest, averaged over members, as in the paper.

    Attributes:
      members: How many were asked.
      categories: How many there are to choose from.
      recall: By method, then by k; no "network" where it learned neither `next_visit`
        nor `windows`, and nothing at all on fewer than 11 members.
    """

    members: int
    categories: int
    recall: dict[str, dict[int, float]]

    def to_table(self, title: str = "") -> Table:
        """A table for the screen."""
        table = Table(title=title, title_justify="left")
        table.add_column("next visit's categories")
        for size in SIZES:
            table.add_column(f"recall@{size}", justify="right")
        for method, by_size in self.recall.items():
            table.add_row(method, *(f"{by_size[size]:.3f}" for size in SIZES))
        table.caption = (
            f"{self.members:,} held-out members"
            if self.recall
            else f"fewer than {FEWEST} held-out members: no figures"
        )
        return table


def next_visit_recall(
    model: Pretrainer,
    train: tf.data.Dataset,
    valid: tf.data.Dataset,
    codes: Sequence[str],
    limits: Limits,
) -> NextVisitRecall:
    """Asks a pre-trained model, and three rankings without one.

    Args:
      model: With `next_visit` among its objectives, or else `windows`, whose
        shortest window stands in for the next visit.
      train: Batches of transformed training members, for the frequencies.
      valid: The same of held-out members.
      codes: The code vocabulary, in file order.
      limits: Cut of each timeline.
    """
    names = ["", *sorted(set(category_of(list(codes))))]
    number = {name: n for n, name in enumerate(names)}
    of_code = np.zeros(FIRST_CODE + len(codes), np.int64)
    of_code[FIRST_CODE:] = [number[name] for name in category_of(list(codes))]
    frequency = np.zeros(len(names))
    for features in train:
        ids = features["code_ids"].values
        visit = ids.value_rowids().numpy()
        np.add.at(frequency, _pairs(visit, of_code[ids.flat_values.numpy()])[1], 1)
    frequency[0] = 0
    common = frequency / (frequency.max() + 1)  # below one: only ever breaks ties

    asks = _Asked(model)
    ask = tf.function(asks, reduce_retracing=True, autograph=False)
    columns = [number[name] for name in model.targets.names[: model.targets.categories]]
    found: dict[str, list[np.ndarray]] = {}
    for features in valid.unbatch().batch(_BATCH):
        day, before = _last_days(features)
        asked = np.flatnonzero(before >= 0)
        if not len(asked):
            continue
        truth, last, history = _occurrences(features, of_code, len(names), day, before)
        inputs = as_of(features, tf.constant(np.maximum(before, 0)), limits)
        judged = asked[truth[asked].any(axis=1)]
        methods = {
            "frequency": np.broadcast_to(common, truth.shape),
            "last visit repeated": last + common,
            "own history": history + common,
        }
        if asks.can:
            foreseen = np.full((len(before), len(names)), -np.inf)
            foreseen[:, columns] = ask(inputs).numpy()
            methods["network"] = foreseen
        for method, scores in methods.items():
            found.setdefault(method, []).append(_recall(scores[judged], truth[judged]))
    members = sum(len(part) for part in found.get("frequency", []))
    if members < FEWEST:
        return NextVisitRecall(0, len(names) - 1, {})
    return NextVisitRecall(
        members,
        len(names) - 1,
        {
            method: dict(zip(SIZES, np.concatenate(parts).mean(axis=0), strict=True))
            for method, parts in found.items()
        },
    )


class _Asked:
    """Scores of a model's categories for the next visit after the asked date."""

    def __init__(self, model: Pretrainer) -> None:
        by_name = {objective.name: objective for objective in model.objectives}
        self.model = model
        self.next_visit = by_name.get("next_visit")
        self.windows = by_name.get("windows")
        self.can = bool(self.next_visit or self.windows)

    def __call__(self, inputs: Mapping[str, Any]) -> Any:
        """Scores [B, K] from inputs as of one date a member."""
        state = self.model.backbone(inputs, training=False)
        if self.next_visit is not None:
            return self.next_visit.head(state)[:, 0]
        assert self.windows is not None
        shortest = int(np.argmin(self.windows.horizons))
        logits = self.windows.head(state)[:, 0, shortest]
        return logits[:, : self.model.targets.categories]


def _last_days(features: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The last day with a visit, and the last known day before it or -1; int [B]."""
    days = features["visit_day"]
    ends = days + features["visit_length"]
    last = np.maximum(tf.reduce_max(days, axis=1).numpy(), -1)
    row = days.value_rowids().numpy()
    flat = ends.flat_values.numpy()
    before = np.full(len(last), -1, np.int64)
    known = flat < last[row]
    np.maximum.at(before, row[known], flat[known])
    return last, before


def _occurrences(
    features: Mapping[str, Any],
    of_code: np.ndarray,
    categories: int,
    day: np.ndarray,
    before: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What came on the last day, what stood on the one before, and days of each.

    Returns:
      bool [B, K], bool [B, K] and int [B, K].
    """
    ids = features["code_ids"]
    visit = ids.values.value_rowids().numpy()
    row = features["visit_day"].value_rowids().numpy()[visit]
    start = features["visit_day"].flat_values.numpy()[visit]
    end = start + features["visit_length"].flat_values.numpy()[visit]
    category = of_code[ids.flat_values.numpy()]
    shape = (len(day), categories)
    truth, last = np.zeros(shape, bool), np.zeros(shape, bool)
    history = np.zeros(shape, np.int64)
    came = start == day[row]
    truth[row[came], category[came]] = True
    repeated = end == before[row]
    last[row[repeated], category[repeated]] = True
    known = end <= before[row]
    which = np.unique(
        np.stack([row[known], category[known], end[known]], axis=1), axis=0
    )
    np.add.at(history, (which[:, 0], which[:, 1]), 1)
    for found in (truth, last, history):
        found[:, 0] = 0  # unknown codes have no category
    return truth, last, history


def _recall(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Recall [N, len(SIZES)]; equal scores are ranked by place."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, : max(SIZES)]
    hits = np.take_along_axis(truth, order, axis=1).cumsum(axis=1)
    sizes = np.minimum(SIZES, hits.shape[1]) - 1
    return hits[:, sizes] / truth.sum(axis=1, keepdims=True)


def _pairs(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.unique(np.stack([one, other]), axis=1)
