"""Fine-tuning as a learner of a learning curve."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from claimpt_tf.evaluation.weighted import Floats
from claimpt_tf.models.presets import backbone
from claimpt_tf.models.risk_model import risk_model
from claimpt_tf.tasks.spec import Task
from claimpt_tf.tasks.unlabelled import UNLABELLED
from claimpt_tf.training.adaptation import Adapted, adapt
from claimpt_tf.training.choices import FinetuneConfig
from claimpt_tf.training.finetune import finetune
from claimpt_tf.training.finetune_run import question_of
from claimpt_tf.training.foreknowledge import HeadStart, head_start
from claimpt_tf.training.kept_scores import KeptScorer
from claimpt_tf.training.pretrain import load_backbone
from claimpt_tf.training.pretrain_run import TRANSFORM_FOLDER
from claimpt_tf.training.scores import RISK, Scored, risk_columns
from claimpt_tf.training.seeds import set_seed
from claimpt_tf.training.sources import labelled_sources, with_rows
from claimpt_tf.training.transform_graph import TransformGraph
from claimpt_tf.visits.ids import FIRST_CODE

SAME: Final = "same"
Files = tuple[tuple[str, tuple[str, ...]], ...]


class NetworkLearner:
    """A network that is fine-tuned on the labels it may see.

    What needs no label is done once: adaptation learns the past of all training
    members, and labels are then fitted to it. The validation split calibrates it, or
    stops it early. Nothing is read before the first scores are asked for, so that it
    can be sent to another process.

    Args:
        name: what tables and plots call it.
        base: run of `claimpt pretrain`: the vocabulary, and the network to begin with.
        files: split -> patterns of labelled examples: train, eval, and unlabelled
            where there is one.
        scored: the split of `files` whose rows are scored.
        task: the question.
        config: choices; the recipe is not `auto`.
        fresh: begin with new weights, of the base's own network (`SAME`) or of a
            preset.
        adaptations: how many networks are adapted, at least as many as `config.bags`;
            replicates take turns with them.
    """

    def __init__(
        self,
        name: str,
        base: str,
        files: Mapping[str, Sequence[str]],
        scored: str,
        task: Task,
        config: FinetuneConfig,
        fresh: str | None = None,
        adaptations: int = 2,
    ) -> None:
        self.name, self._base, self._scored = name, base, scored
        self._files = tuple((split, tuple(some)) for split, some in files.items())
        self._task, self._question = task, question_of(task)
        self._config, self._fresh = config, fresh
        self._adaptations = max(adaptations, config.bags)
        self._adapted: dict[int, Adapted] = {}
        self._kept: dict[int, KeptScorer] = {}

    def shared(self, seed: int) -> str:
        """See `claimpt_tf.evaluation.cells.Learner.shared`."""
        if self._config.bags > 1:
            return "bags"
        return str(seed % self._adaptations)

    def scores(self, chosen: NDArray[np.bool_], seed: int) -> Floats:
        """See `claimpt_tf.evaluation.cells.Learner.scores`."""
        _, sources = read_base(self._base, self._files)
        labelled = with_rows(sources["train"], chosen)
        fit = self._by_past if self._config.recipe == "adapt" else self._by_labels
        bags = self._config.bags
        rows = [fit(labelled, sources, seed * bags + n) for n in range(bags)]
        mean = replace(rows[0], logit=np.mean([one.logit for one in rows], axis=0))
        return np.asarray(risk_columns(self._scored, mean)[RISK])

    def _by_past(
        self, labelled: tf.data.Dataset, sources: Mapping[str, Any], seed: int
    ) -> Scored:
        number = seed % self._adaptations
        if number not in self._adapted:
            set_seed(number)
            self._adapted[number] = adapt(
                risk_model(self._start()),
                sources["train"],
                sources["eval"],
                self._question,
                self._config.model_copy(update={"seed": number + 1}),
                unlabelled=sources.get(UNLABELLED),
                codes=read_base(self._base, self._files)[0].codes,
                start=self._known(),
            )
        adapted = self._adapted[number]
        if number not in self._kept:
            self._kept[number] = KeptScorer(
                adapted.model, self._config.limits, sources[self._scored]
            )
        adapted.fit(labelled, sources["eval"])
        return self._kept[number](adapted.model)

    def _by_labels(
        self, labelled: tf.data.Dataset, sources: Mapping[str, Any], seed: int
    ) -> Scored:
        set_seed(seed)  # of weights that start fresh
        *_, scorer = finetune(
            self._start(),
            labelled,
            sources["eval"],
            self._question,
            self._config.model_copy(update={"seed": seed}),
            start=self._known(),
        )
        return scorer(sources[self._scored])

    def _known(self) -> HeadStart | None:
        if self._fresh or not self._config.foreknown:
            return None
        codes = read_base(self._base, self._files)[0].codes
        return head_start(self._base, self._task, codes)

    def _start(self) -> Any:
        return network_for(self._base, self._files, self._fresh)


def network_for(base: str, files: Files, fresh: str | None) -> Any:
    """A network to begin with, see `NetworkLearner`."""
    graph, _ = read_base(base, files)
    if fresh not in (None, SAME):
        return backbone(fresh, FIRST_CODE + len(graph.codes), FIRST_CODE + graph.stems)
    return load_backbone(base, graph.codes, fresh=fresh is not None)


@functools.lru_cache(maxsize=2)
def read_base(base: str, files: Files) -> tuple[TransformGraph, dict[str, Any]]:
    """The base's transformation, and its splits; learners of a base share them."""
    graph = TransformGraph.load(str(Path(base) / TRANSFORM_FOLDER))
    return graph, labelled_sources(dict(files), graph.layer)
