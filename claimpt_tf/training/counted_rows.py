"""Days of members' past as rows: decayed counts of what was known, and what came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from scipy import sparse

from claimpt_tf.models.decayed_counts import COUNTED, DecayedCounts
from claimpt_tf.models.time import YEAR
from claimpt_tf.tasks.past_days import FEWEST_OUTCOMES
from claimpt_tf.training.batches import batch_count, code_counts, dated_batches, plain
from claimpt_tf.training.choices import FinetuneConfig, Question
from claimpt_tf.training.inputs import as_of
from claimpt_tf.training.outcome_windows import days_until_targets
from claimpt_tf.training.targets import choose_targets
from claimpt_tf.visits.ids import FIRST_CODE

MOST_CODES = 1_000
FEWEST_VISITS = 30  # of a code that is a column of its own
FEWEST_DATES, MOST_DATES, ROWS = 2, 12, 80_000  # dates a member; rows in all
_BATCH = 16  # members: a batch of features is some hundred megabytes


@dataclass(frozen=True)
class Rows:
    """Dates with what was known on them and what came.

    Attributes:
      features: CSR float32 [N, F].
      event: 0 or 1 [N], whether the outcome came while watched.
      years: float [N], how long the date was watched, up to the outcome.
      member: int [N]; rows of a member stay together.
    """

    features: sparse.csr_matrix
    event: np.ndarray
    years: np.ndarray
    member: np.ndarray

    def some(self, chosen: np.ndarray) -> Rows:
        """The rows that are chosen, bool [N]."""
        return Rows(
            self.features[chosen],
            self.event[chosen],
            self.years[chosen],
            self.member[chosen],
        )

    def with_more(self, other: Rows) -> Rows:
        """These rows and others, of other members or of the same."""
        return _joined([self, other])


def decayed_counts(codes: Sequence[str], source: tf.data.Dataset) -> DecayedCounts:
    """The layer whose columns are what training members have often enough.

    Columns are the most frequent codes, their categories anywhere, and in acute care.

    Args:
      codes: The code vocabulary, in file order.
      source: Batches of transformed training members.
    """
    seen = np.zeros(FIRST_CODE + len(codes), np.int64)
    counted = list(code_counts(source))
    for batch in counted:
        seen += np.bincount(batch["code_ids"].ravel(), minlength=len(seen))
    seen[:FIRST_CODE] = 0
    own = np.argsort(-seen, kind="stable")[:MOST_CODES]
    own = own[seen[own] >= FEWEST_VISITS]
    targets = choose_targets(codes, counted)
    table = np.full((len(seen), 3), -1, np.int32)
    table[own, 0] = np.arange(len(own))
    for place, of_code in enumerate((targets.anywhere, targets.acute), start=1):
        column = np.asarray(of_code)
        table[:, place] = np.where(column >= 0, column + len(own), -1)
    layer = DecayedCounts(
        len(seen), len(own) + len(targets.names), name="decayed_counts"
    )
    layer.build()
    layer.column_of.assign(table)
    return layer


class Counter:
    """Reads rows off members; it is traced once.

    Args:
      layer: Of `decayed_counts`.
      question: The task.
      config: Choices.
    """

    def __init__(
        self, layer: DecayedCounts, question: Question, config: FinetuneConfig
    ) -> None:
        self._question, self._config = question, config
        ranks = {"code_ids": 3, "sex": 1, "birth_day": 1}
        specs = [
            tf.TensorSpec([None] * ranks.get(name, 2), tf.int32) for name in COUNTED
        ]
        self._count = tf.function(layer, input_signature=specs, autograph=False)

    def _read(self, inputs: Mapping[str, Any]) -> np.ndarray:
        return self._count(*(inputs[name] for name in COUNTED)).numpy()

    def _known(self, rows: Mapping[str, Any], day: Any) -> dict[str, Any]:
        """What the layer reads of rows, as of a day each, int64 [B]."""
        inputs = as_of(rows, day, self._config.limits)
        return {name: inputs[name] for name in COUNTED}

    def past(self, source: tf.data.Dataset) -> Rows:
        """Days of members' past, watched to the end of the window or of it.

        Days on which the task would have asked, unless fewer than `FEWEST_OUTCOMES`
        of them saw the outcome come: then any days.

        Args:
          source: Batches of transformed members with `visit_outcome`, `past_days` and
            `index_day`, as for adaptation.
        """
        asked = np.concatenate([one["past_days"].row_lengths() for one in source])
        most = max(FEWEST_DATES, ROWS // max(int(np.count_nonzero(asked)), 1))
        batches = source.unbatch().batch(_BATCH).map(plain(partial(self._asked, most)))
        # Features take the time: what came is counted first.
        came = sum(int(np.sum(until <= watched)) for *_, until, watched in batches)
        if came >= FEWEST_OUTCOMES:
            return self._when_asked(batches)
        return self._any_days(source)

    def _asked(self, most: int, batch: Mapping[str, Any]) -> tuple[Any, ...]:
        """Members of a batch, and the days of each on which the task would have asked.

        Args:
          most: Days a member, at most.
          batch: As `past` takes them.

        Returns:
          The members, and per day int64 [D]: whose, the day, days until the outcome
          came (or more than were watched), days watched.
        """
        gap, window = self._question.gap_days, self._question.window_days
        members = dict(batch)
        days = _thinned(members.pop("past_days"), most)
        whose, day = days.value_rowids(), days.flat_values
        start, last = day + gap, tf.gather(members["index_day"], whose)
        visits = tf.cast(tf.gather(members["visit_day"], whose), tf.int64)
        outcome = tf.gather(members["visit_outcome"], whose) == 1
        later = tf.logical_and(outcome, visits > start[:, None])
        came = tf.reduce_min(tf.ragged.boolean_mask(visits, later), axis=1)
        until = tf.minimum(came, last + window) - start
        return members, whose, day, until, tf.minimum(last - start, window)

    def _when_asked(self, batches: tf.data.Dataset) -> Rows:
        @plain
        def known(
            members: Mapping[str, Any], whose: Any, day: Any, *beside: Any
        ) -> tuple[Any, ...]:
            rows = {name: tf.gather(one, whose) for name, one in members.items()}
            return self._known(rows, day), whose, *beside

        parts: list[Rows] = []
        for number, batch in enumerate(batches.map(known)):
            inputs, whose, until, watched = batch
            if not len(whose):
                continue
            event = (until <= watched).numpy().astype(np.float64)
            parts.append(
                Rows(
                    sparse.csr_matrix(self._read(inputs)[:, 0]),
                    event,
                    np.minimum(until, watched) / YEAR,
                    number * _BATCH + whose.numpy(),
                )
            )
        return _joined(parts)

    def _any_days(self, source: tf.data.Dataset) -> Rows:
        asked, config = self._question, self._config
        members = batch_count(source, 1)[1]
        batches = dated_batches(
            source,
            ahead=asked.ahead_days,
            dates=int(np.clip(ROWS // max(members, 1), FEWEST_DATES, MOST_DATES)),
            batch_size=_BATCH,
            limits=config.limits,
            seed=config.seed,
            only_visits=asked.at_visits,
        )
        parts: list[Rows] = []
        seen = 0
        for batch in batches:
            parts.append(self._of_batch(batch, seen))
            seen += int(batch["sex"].shape[0])
        return _joined(parts)

    def _of_batch(self, batch: Mapping[str, Any], first: int) -> Rows:
        gap, window = self._question.gap_days, self._question.window_days
        marks = np.where(batch["visit_outcome"].numpy() == 1, 0, -1)
        marks = marks.astype(np.int32)[..., None]
        start = batch["query_day"] + gap
        days = days_until_targets(
            batch["visit_day"], batch["visit_type"], marks, start, 1
        )[..., 0].numpy()
        watched = (batch["observed_to"][:, None] - start).numpy()
        watched = np.minimum(watched, window)
        kept = np.ravel(watched > 0)
        member = np.repeat(first + np.arange(len(days)), days.shape[1])
        features = self._read(batch)
        return Rows(
            sparse.csr_matrix(features.reshape(-1, features.shape[-1])[kept]),
            np.ravel(days <= watched)[kept].astype(np.float64),
            np.ravel(np.minimum(days, watched))[kept] / YEAR,
            member[kept],
        )

    def labelled(self, source: tf.data.Dataset, member_from: int) -> Rows:
        """Labelled rows; an outcome counts as come in the middle of the window.

        Args:
          source: Batches of transformed labelled examples.
          member_from: A number that no member of other rows has, nor a larger one.
        """
        features, label, patient = [], [], []

        @plain
        def asked(batch: Mapping[str, Any]) -> tuple[Any, Any, Any]:
            inputs = self._known(batch, batch["index_day"])
            return inputs, batch["label"], batch["patient_id"]

        for inputs, labels, patients in source.unbatch().batch(_BATCH).map(asked):
            features.append(sparse.csr_matrix(self._read(inputs)[:, 0]))
            label.append(labels.numpy())
            patient.append(patients.numpy())
        event = np.concatenate(label).astype(np.float64)
        number = np.unique(np.concatenate(patient), return_inverse=True)[1]
        window = self._question.window_days / YEAR
        return Rows(
            sparse.vstack(features, format="csr"),
            event,
            np.where(event == 1, window / 2, window),
            member_from + number,
        )


def _thinned(days: tf.RaggedTensor, most: int) -> tf.RaggedTensor:
    """At most so many days of each member, evenly: every one of fewer."""
    count = days.row_lengths()[:, None]
    place = tf.ragged.range(days.row_lengths())
    bucket, before = (one * most // tf.maximum(count, 1) for one in (place, place - 1))
    kept = tf.logical_or(count <= most, bucket != before)
    return tf.ragged.boolean_mask(days, kept)


def _joined(parts: Sequence[Rows]) -> Rows:
    return Rows(
        sparse.vstack([part.features for part in parts], format="csr"),
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("event", "years", "member")
        ),
    )
