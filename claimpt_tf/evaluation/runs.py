"""Several evaluations side by side, and paired where their test rows are the same."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from rich.table import Table

from claimpt_tf.errors import ArtifactError, InputError
from claimpt_tf.evaluation.bootstrap import REPLICATES
from claimpt_tf.evaluation.compare import compare
from claimpt_tf.evaluation.comparison import BINARY, Comparison, number, with_interval
from claimpt_tf.evaluation.drawing import Plot, lines_of
from claimpt_tf.evaluation.evaluate import METRICS_FILE
from claimpt_tf.evaluation.figure_tables import (
    CALIBRATION,
    DISCRIMINATION,
    differences_table,
    models_table,
    p_value,
    reasons_of,
)
from claimpt_tf.evaluation.metrics import CAPACITY
from claimpt_tf.evaluation.page import render_page
from claimpt_tf.evaluation.plots import decision_plot, precision_recall_plot, roc_plot
from claimpt_tf.evaluation.provenance import SIMULATED
from claimpt_tf.evaluation.weighted import Floats
from claimpt_tf.tasks.attrition import SMALLEST_CELL
from claimpt_tf.training.pretrain import write_text
from claimpt_tf.training.scores import PREDICTIONS_FILE

_WITHIN: Final = ("", "evaluation", "report")  # where a run keeps its evaluation
_ROW: Final = ("patient_id", "index_date", "label_row")


@dataclass(frozen=True)
class Evaluated:
    """An evaluation that is on disk.

    Attributes:
        name: what tables call it.
        found: its figures.
        model: which of its models is compared.
        rows: member, index date, label and the model's probability, sorted.
    """

    name: str
    found: Comparison
    model: str
    rows: pl.DataFrame


@dataclass(frozen=True)
class RunsCompared:
    """Several evaluations side by side.

    Attributes:
        found: figures of each run under its name; the first is the reference.
            Differences are there where the test rows are the same.
        notes: what a reader must know first.
        rows: run -> its rows, as in `Evaluated`.
    """

    found: Comparison
    notes: tuple[str, ...]
    rows: dict[str, pl.DataFrame]

    @property
    def paired(self) -> bool:
        """Whether all runs were judged on the same rows."""
        return bool(self.found.differences)

    def to_table(self) -> Table:
        """For the terminal; draw it with `rich`."""
        table = Table(
            title=f"Task {self.found.task}", title_justify="left", title_style="bold"
        )
        table.add_column("run", overflow="fold")
        for heading in (
            f"AUROC [{self.found.level:.0%} CI]",
            "AUPRC",
            "Brier",
            "slope",
        ):
            table.add_column(heading, justify="right", no_wrap=True)
        if self.paired:
            table.add_column("AUROC, to the first", justify="right")
            table.add_column("p", justify="right", no_wrap=True)
        for name, figures in self.found.models.items():
            cells = [
                with_interval(figures["auroc"]),
                *(
                    number(figures[one].value)
                    for one in ("auprc", "brier", "calibration_slope")
                ),
            ]
            if name in self.found.differences:
                gap = self.found.differences[name]["auroc"]
                value = "n/e" if gap.value is None else f"{gap.value:+.3f}"
                if gap.low is not None and gap.high is not None:
                    value += f" [{gap.low:+.3f}, {gap.high:+.3f}]"
                cells += [value, p_value(gap, self.found.n_boot)]
            table.add_row(name, *cells)
        return table

    def to_json(self) -> str:
        """Figures and differences; no counts of outcomes."""
        content = {
            "schema_version": 1,
            "task": self.found.task,
            "simulated": self.found.simulated,
            "notes": self.notes,
            "reference": self.found.reference,
            "runs": asdict(self.found)["models"],
            "differences": asdict(self.found)["differences"],
        }
        return json.dumps(content, indent=1, allow_nan=False) + "\n"

    def to_html(self, command: str) -> str:
        """A page like the report."""
        found = self.found
        scores = {
            name: rows["probability"].to_numpy() for name, rows in self.rows.items()
        }
        return render_page(
            "runs.html.j2",
            kind="comparison of runs",
            title=found.task.replace("_", " ").capitalize(),
            description="",
            synthetic=SIMULATED if found.simulated else None,
            main=found.reference,
            notes=self.notes,
            tables=[
                models_table(found, DISCRIMINATION, "Who is ranked above whom"),
                models_table(
                    found,
                    CALIBRATION,
                    "Whether probabilities can be taken at their word",
                ),
            ],
            differences=differences_table(found) if self.paired else None,
            reasons=reasons_of(found),
            lines=lines_of(scores),
            plots=self._plots(scores),
            command=command,
        )

    def _plots(self, scores: dict[str, Floats]) -> list[Plot]:
        if not self.paired:
            return []
        labels = self.rows[self.found.reference]["label"].to_numpy().astype(np.float64)
        if min(labels.sum(), len(labels) - labels.sum()) < SMALLEST_CELL:
            return []
        told = "; ".join(
            f"{name} {with_interval(figures['auroc'])}"
            for name, figures in self.found.models.items()
        )
        return [
            roc_plot(labels, scores, f"Area under the curve: {told}."),
            precision_recall_plot(labels, scores, "See the table for the areas."),
            decision_plot(labels, scores),
        ]


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
    if found.kind != BINARY:
        raise ArtifactError(
            f"{place} judges labels that are {found.kind}; only evaluations of "
            "yes-or-no labels are put side by side, see the page of each"
        )
    chosen = model or found.reference
    path = place / PREDICTIONS_FILE
    if chosen not in found.models or not path.exists():
        raise ArtifactError(
            f"{place} has no model '{chosen}'; it has {', '.join(found.models)}"
        )
    table = pl.read_parquet(path)
    keys = [name for name in _ROW if name in table.columns]
    rows = table.select(*keys, "label", probability=chosen).sort(keys)
    return Evaluated(Path(folder).name or folder, found, chosen, rows)


def compare_runs(
    folders: Sequence[str],
    model: str | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> RunsCompared:
    """Puts evaluations side by side, the first one being what others are held against.

    Where all were made on the same rows, every figure and difference comes from one
    paired bootstrap of those rows; else each keeps the figures of its evaluation.

    Raises:
        InputError: fewer than two, or one twice.
        ArtifactError: no evaluation, or evaluations of different tasks.
    """
    if len(folders) < 2 or len({os.path.realpath(one) for one in folders}) < len(
        folders
    ):
        raise InputError("give two evaluations or more, each once")
    runs = _named([read_evaluated(one, model) for one in folders], folders)
    tasks = {name: one.found.task for name, one in runs.items()}
    if len(set(tasks.values())) > 1 or "" in tasks.values():
        told = ", ".join(
            f"{name}: {task or 'not told'}" for name, task in tasks.items()
        )
        raise ArtifactError(
            f"these evaluations are not of one task ({told}); compare runs of the same "
            "task, evaluated by this release"
        )
    first = next(iter(runs.values()))
    rows = {name: one.rows for name, one in runs.items()}
    simulated = any(one.found.simulated for one in runs.values())
    keys = [name for name in first.rows.columns if name not in ("label", "probability")]
    identity = [*keys, "label"]
    if all(
        one.columns == first.rows.columns
        and one.select(identity).equals(first.rows.select(identity))
        for one in rows.values()
    ):
        frame = first.rows.select(
            "patient_id",
            "label",
            index_day=pl.col("index_date").cast(pl.Int32).cast(pl.Int64),
            **({"label_row": "label_row"} if "label_row" in keys else {}),
        )
        found = compare(
            {name: one["probability"].to_numpy() for name, one in rows.items()},
            frame, replicates, seed, subgroups=(),
            capacity=first.found.capacity or CAPACITY,
        )  # fmt: skip
        notes = ["All runs were judged on the same rows; differences are paired."]
    else:
        found = Comparison(
            n=first.found.n, patients=first.found.patients,
            positives=first.found.positives,
            models={name: one.found.models[one.model] for name, one in runs.items()},
            differences={}, reference=next(iter(runs)), subgroups=[],
            titles=first.found.titles, capacity=first.found.capacity,
            n_boot=first.found.n_boot, seed=first.found.seed, level=first.found.level,
        )  # fmt: skip
        notes = [
            "The runs were not judged on the same rows: figures stand side by side, "
            "and no difference is tested."
        ]
    models = {one.model for one in runs.values()}
    if len(models) > 1 or model:
        told = "; ".join(f"{name}: {one.model}" for name, one in runs.items())
        notes.append(f"Models: {told}.")
    named = {**vars(found), "task": first.found.task, "simulated": simulated}
    return RunsCompared(Comparison(**named), tuple(notes), rows)


def write_compared(compared: RunsCompared, path: str, command: str) -> None:
    """Writes the comparison as .html or .json, complete or not at all.

    Raises:
        InputError: another suffix.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".html", ".json"):
        raise InputError(f"--output {path}: the name must end in .html or .json")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    text = compared.to_html(command) if suffix == ".html" else compared.to_json()
    write_text(path, text)


def _named(runs: Sequence[Evaluated], folders: Sequence[str]) -> dict[str, Evaluated]:
    """Runs by their folder's name, or by its path where names are alike."""
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        names = [os.path.normpath(one) for one in folders]
    return dict(zip(names, runs, strict=True))
