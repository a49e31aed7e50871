"""The network of a run of `claimpt finetune`: it scores and explains labelled rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import polars as pl
import tensorflow as tf

from claimpt_tf.errors import ArtifactError
from claimpt_tf.evaluation.comparison import BINARY
from claimpt_tf.evaluation.endpoints.registry import JUDGED
from claimpt_tf.evaluation.finetuned_run import kind_of, labelled_rows
from claimpt_tf.evaluation.weighted import Floats
from claimpt_tf.models import (  # noqa: F401  they register what is loaded
    endpoint_model,
    risk_model,
)
from claimpt_tf.serving.explanation import explain
from claimpt_tf.serving.explanations import CodeShare
from claimpt_tf.training.choices import FinetuneConfig, Limits
from claimpt_tf.training.endpoints.endpoint import Endpoint
from claimpt_tf.training.endpoints.registry import endpoint_for
from claimpt_tf.training.finetune import CLASSIFIER_FILE
from claimpt_tf.training.finetune_run import CONFIG_FILE
from claimpt_tf.training.inputs import as_of
from claimpt_tf.training.pretrain_run import TRANSFORM_FOLDER
from claimpt_tf.training.scores import (
    PREDICTIONS_FILE,
    RISK,
    Scorer,
    risk_columns,
)
from claimpt_tf.training.sources import labelled_sources, with_rows
from claimpt_tf.training.transform_graph import TransformGraph
from claimpt_tf.visits.ids import FIRST_CODE, VISIT_TYPES


@dataclass(frozen=True)
class CodeShares:
    """A row's prediction, and what each known code adds to it over all visits.

    `reference` is that of the same person without any visit; `visits` is what visits
    of a type add besides their codes, by their place, time, stay and cost.
    """

    value: float
    reference: float
    codes: tuple[CodeShare, ...]
    visits: dict[str, float]


class FinetunedModel:
    """A fine-tuned network with the transformation that its inputs go through.

    Args:
        model: of `risk_model` or `endpoint_model`.
        graph: the transformation of its pre-trained run.
        limits: cut of a timeline.
        endpoint: what its numbers mean; None where labels are yes or no.
    """

    def __init__(
        self,
        model: keras.Model,
        graph: TransformGraph,
        limits: Limits,
        endpoint: Endpoint | None = None,
    ) -> None:
        self._model, self.graph, self._limits = model, graph, limits
        self._endpoint = endpoint
        self._sources: dict[tuple[Path, str], tf.data.Dataset] = {}

    @classmethod
    def load(cls, run: str) -> FinetunedModel:
        """Loads a finished run, whose `base` must still be where it was.

        Raises:
            ArtifactError: the run or its base is not there.
        """
        place = Path(run)
        for file in (CONFIG_FILE, CLASSIFIER_FILE):
            if not (place / file).exists():
                raise ArtifactError(
                    f"{place / file} is missing: give the folder of a finished "
                    "`claimpt finetune`"
                )
        facts = json.loads((place / CONFIG_FILE).read_text())
        graph = TransformGraph.load(str(Path(facts["base"]) / TRANSFORM_FOLDER))
        limits = FinetuneConfig(**facts["choices"]).limits
        model = keras.saving.load_model(place / CLASSIFIER_FILE)
        kind, endpoint = kind_of(run), None
        if kind != BINARY:
            columns = pl.read_parquet_schema(place / PREDICTIONS_FILE)
            endpoint = endpoint_for(kind).of_columns(JUDGED[kind].predicted(columns))
        return cls(model, graph, limits, endpoint)

    def scores(self, cohort: Path, split: str) -> tuple[pl.DataFrame, Floats]:
        """Labelled rows of a cohort, and the probability of each, float64 (rows,)."""
        rows, given = self.predictions(cohort, split)
        return rows, given[RISK].to_numpy()

    def predictions(
        self, cohort: Path, split: str
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Labelled rows of a cohort, and what is predicted for each."""
        rows = labelled_rows(cohort, split)
        found = Scorer(self._model, self._limits)(self._source(cohort, split))
        given = pl.Series([one.decode() for one in found.patient])
        if not given.equals(rows["patient_id"].cast(pl.String).rename("")):
            raise ArtifactError(f"{cohort}: its files changed while they were read")
        if self._endpoint is not None:
            return rows, pl.DataFrame(self._endpoint.predictions(found.logit))
        return rows, pl.DataFrame({RISK: risk_columns(split, found)[RISK]})

    def code_shares(
        self, cohort: Path, split: str, chosen: np.ndarray, column: str = RISK
    ) -> list[CodeShares]:
        """Explains the chosen rows.

        Args:
            cohort: folder of the labelled examples.
            split: of them.
            chosen: bool (rows,), in the order of `labelled_rows`.
            column: which of the predictions.
        """

        def score(inputs: dict[str, Any]) -> tf.Tensor:
            logit = self._model(inputs, training=False)["logit"][:, 0]
            if self._endpoint is None:
                return tf.sigmoid(tf.cast(logit, tf.float32))
            given = self._endpoint.predictions(logit.numpy())[column]
            return tf.constant(given, tf.float32)

        asked = set(self._model.input)
        found: list[CodeShares] = []
        for batch in with_rows(self._source(cohort, split), chosen):
            inputs = as_of(batch, batch["index_day"], self._limits)
            inputs = {name: inputs[name] for name in asked}
            told = {name: one.numpy() for name, one in explain(inputs, score).items()}
            ids, types = inputs["code_ids"].numpy(), inputs["visit_type"].numpy()
            own = told["visit_share"] - told["code_share"].sum(axis=2)
            found += [
                CodeShares(
                    float(told["probability"][row]),
                    float(told["reference"][row]),
                    self._by_code(ids[row], told["code_share"][row]),
                    {
                        name: float(own[row][types[row] == number].sum())
                        for number, name in enumerate(VISIT_TYPES, 1)
                        if (types[row] == number).any()
                    },
                )
                for row in range(len(ids))
            ]
        return found

    def _by_code(self, ids: np.ndarray, shares: np.ndarray) -> tuple[CodeShare, ...]:
        known = (ids >= FIRST_CODE) & (ids < FIRST_CODE + len(self.graph.codes))
        total = np.bincount(
            ids[known] - FIRST_CODE, shares[known], len(self.graph.codes)
        )
        return tuple(
            CodeShare(self.graph.codes[place], float(total[place]))
            for place in np.unique(ids[known] - FIRST_CODE)
        )

    def _source(self, cohort: Path, split: str) -> tf.data.Dataset:
        if (cohort, split) not in self._sources:  # tracing it takes seconds
            patterns = {split: [str(cohort / f"Split-{split}" / "*")]}
            found = labelled_sources(patterns, self.graph.layer)
            self._sources[cohort, split] = found[split]
        return self._sources[cohort, split]
