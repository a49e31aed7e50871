"""Evaluations that are on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from claimpt_tf.errors import ArtifactError
from claimpt_tf.evaluation.comparison import BINARY, Comparison
from claimpt_tf.evaluation.endpoints.registry import JUDGED
from claimpt_tf.evaluation.evaluate import METRICS_FILE
from claimpt_tf.training.scores import PREDICTIONS_FILE, RISK

_WITHIN: Final = ("", "evaluation", "report")  # where a run keeps its evaluation
_ROW: Final = ("patient_id", "index_date", "label_row")
_OF_TABLE: Final = (*_ROW, "split", "model")


@dataclass(frozen=True)
class Evaluated:
    """An evaluation that is on disk.

    Attributes:
        name: what tables call it.
        found: its figures.
        model: which of its models is compared.
        rows: member, index date, label (and what belongs to it) and the model's
            predictions, sorted.
        predictions: which columns of `rows` those are.
    """

    name: str
    found: Comparison
    model: str
    rows: pl.DataFrame
    predictions: list[str]

    @property
    def judged_on(self) -> pl.DataFrame:
        """What two evaluations of the same rows have alike."""
        return self.rows.drop(self.predictions)


def read_evaluated(folder: str, model: str | None = None) -> Evaluated:
    """Reads the folder of an evaluation, or of a run that holds one.

    Args:
        folder: holds `metrics.json` and `predictions.parquet`, or a folder
            `evaluation` or `report` that does.
        model: which of its models; by default the judged one.

    Raises:
        ArtifactError: there is no evaluation, or it has no such model.
    """
    reasons = []
    for within in _WITHIN:
        place = Path(folder) / within
        if not (place / METRICS_FILE).exists():
            continue
        try:
            found = Comparison.from_json((place / METRICS_FILE).read_text())
            break
        except ArtifactError as error:
            reasons.append(f"; {place / METRICS_FILE}: {error}")
    else:
        raise ArtifactError(
            f"{folder} holds no evaluation: give the --output of `claimpt evaluate`"
            + "".join(reasons)
        )
    chosen = model or found.reference
    path = place / PREDICTIONS_FILE
    if chosen not in found.models or not path.exists():
        raise ArtifactError(
            f"{place} has no model '{chosen}'; it has {', '.join(found.models)}"
        )
    table = pl.read_parquet(path)
    keys = [name for name in _ROW if name in table.columns]
    if found.kind == BINARY:
        predictions = [RISK]
        table = table.select(*keys, "label", pl.col(chosen).alias(RISK))
    else:
        columns = [name for name in table.columns if name not in _OF_TABLE]
        predictions = JUDGED[found.kind].predicted(columns)
        table = table.filter(pl.col("model") == chosen).select(*keys, *columns)
    name = Path(folder).name or folder
    return Evaluated(name, found, chosen, table.sort(keys), predictions)
