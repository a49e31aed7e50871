"""Fine-tuning as a learner of a learning curve."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from claimpt_tf.evaluation.weighted import Floats
from claimpt_tf.models.risk_model import risk_model
from claimpt_tf.tasks.spec import Task
from claimpt_tf.tasks.unlabelled import UNLABELLED
from claimpt_tf.training.adaptation import Adapted, adapt
from claimpt_tf.training.choices import FinetuneConfig
from claimpt_tf.training.finetune import finetune
from claimpt_tf.training.finetune_run import question_of
from claimpt_tf.training.scores import Scorer, risk_columns
from claimpt_tf.training.sources import with_rows


class NetworkLearner:
    """A network that is fine-tuned on the labels it may see.

    What needs no label is done once: adaptation learns the past of all training
    members, and labels are then fitted to it. The validation split calibrates it, or
    stops it early.

    Args:
        name: what tables and plots call it.
        start: gives a backbone of its own.
        sources: split -> batches of `labelled_sources`: train, eval, and unlabelled
            where there is one.
        scored: the split of `sources` whose rows are scored.
        task: the question.
        codes: the vocabulary, in file order.
        config: choices; the recipe is not `auto`.
        adaptations: how many networks are adapted; replicates take turns with them.
    """

    def __init__(
        self,
        name: str,
        start: Callable[[], Any],
        sources: Mapping[str, tf.data.Dataset],
        scored: str,
        task: Task,
        codes: Sequence[str],
        config: FinetuneConfig,
        adaptations: int = 2,
    ) -> None:
        self.name, self._start, self._sources = name, start, sources
        self._scored, self._question, self._codes = scored, question_of(task), codes
        self._config, self._adaptations = config, adaptations
        self._adapted: dict[int, Adapted] = {}

    def scores(self, chosen: NDArray[np.bool_], seed: int) -> Floats:
        """See `claimpt_tf.evaluation.learning_curve.Learner.scores`."""
        labelled = with_rows(self._sources["train"], chosen)
        fit = self._by_past if self._config.recipe == "adapt" else self._by_labels
        rows = fit(labelled, seed)(self._sources[self._scored])
        return np.asarray(risk_columns(self._scored, rows)["probability"])

    def _by_past(self, labelled: tf.data.Dataset, seed: int) -> Scorer:
        number = seed % self._adaptations
        if number not in self._adapted:
            keras.utils.set_random_seed(number + 1)
            self._adapted[number] = adapt(
                risk_model(self._start()),
                self._sources["train"],
                self._sources["eval"],
                self._question,
                self._config.model_copy(update={"seed": number + 1}),
                unlabelled=self._sources.get(UNLABELLED),
                codes=self._codes,
            )
        self._adapted[number].fit(labelled, self._sources["eval"])
        return self._adapted[number].scorer

    def _by_labels(self, labelled: tf.data.Dataset, seed: int) -> Scorer:
        keras.utils.set_random_seed(seed + 1)  # of weights that start fresh
        *_, scorer = finetune(
            self._start(),
            labelled,
            self._sources["eval"],
            self._question,
            self._config.model_copy(update={"seed": seed}),
        )
        return scorer
