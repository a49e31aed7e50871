"""Several evaluations side by side, and paired where their test rows are the same."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from rich.table import Table

from claimpt_tf.errors import ArtifactError, InputError
from claimpt_tf.evaluation.bootstrap import REPLICATES
from claimpt_tf.evaluation.compare import compare
from claimpt_tf.evaluation.comparison import Comparison, number, with_interval
from claimpt_tf.evaluation.drawing import Line, Plot, lines_of
from claimpt_tf.evaluation.endpoint_compare import compare_endpoints
from claimpt_tf.evaluation.endpoints.judged import Judged
from claimpt_tf.evaluation.endpoints.registry import JUDGED
from claimpt_tf.evaluation.evaluate import Choices
from claimpt_tf.evaluation.evaluated import Evaluated, read_evaluated
from claimpt_tf.evaluation.figure_tables import (
    CALIBRATION,
    DIFFERENCES,
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
from claimpt_tf.tasks.attrition import SMALLEST_CELL
from claimpt_tf.training.pretrain import write_text
from claimpt_tf.training.scores import RISK

_TABLES: Final = {
    "Who is ranked above whom": DISCRIMINATION,
    "Whether probabilities can be taken at their word": CALIBRATION,
}
_ON_SCREEN: Final = ("auroc", "auprc", "brier", "calibration_slope")


@dataclass(frozen=True)
class RunsCompared:
    """Several evaluations side by side.

    Attributes:
        found: figures of each run under its name; the first is the reference.
            Differences are there where the test rows are the same.
        notes: what a reader must know first.
        rows: run -> its rows, as in `Evaluated`.
        judged: the kind of label; None where it is yes or no.
    """

    found: Comparison
    notes: tuple[str, ...]
    rows: dict[str, pl.DataFrame]
    judged: Judged | None = None

    @property
    def paired(self) -> bool:
        """Whether all runs were judged on the same rows."""
        return bool(self.found.differences)

    def to_table(self) -> Table:
        """For the terminal; draw it with `rich`."""
        titles = self.found.titles
        table = Table(
            title=f"Task {self.found.task}", title_justify="left", title_style="bold"
        )
        table.add_column("run", overflow="fold")
        wanted = _ON_SCREEN if self.judged is None else list(self.judged.titles)[:3]
        main, *others = (name for name in wanted if name in titles)
        level = f"[{self.found.level:.0%} CI]"
        for heading in (f"{titles[main]} {level}", *(titles[one] for one in others)):
            table.add_column(heading, justify="right")
        if self.paired:
            table.add_column(f"{titles[main]}, to the first", justify="right")
            table.add_column("p", justify="right", no_wrap=True)
        for name, figures in self.found.models.items():
            cells = [
                with_interval(figures[main]),
                *(number(figures[one].value) for one in others),
            ]
            if name in self.found.differences:
                gap = self.found.differences[name][main]
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
        found, judged = self.found, self.judged
        lines, plots = self._drawn()
        tables = [
            (caption, [name for name in names if name in found.titles])
            for caption, names in (_TABLES if judged is None else judged.tables).items()
        ]
        return render_page(
            "runs.html.j2",
            kind="comparison of runs",
            title=found.task.replace("_", " ").capitalize(),
            description="",
            synthetic=SIMULATED if found.simulated else None,
            main=found.reference,
            notes=self.notes,
            tables=[
                models_table(found, names, text) for text, names in tables if names
            ],
            differences=differences_table(
                found, DIFFERENCES if judged is None else judged.differences
            ),
            reasons=reasons_of(found),
            lines=lines,
            plots=plots,
            command=command,
        )

    def _drawn(self) -> tuple[list[Line], list[Plot]]:
        """How runs are drawn, and what; nothing of too few rows or of other rows."""
        if self.judged is not None:
            if not self.paired or self.found.n < SMALLEST_CELL:
                return [], []
            lines = self.judged.lines(self.rows)
            return lines, self.judged.plots(self.rows, self.found, lines)
        scores = {name: rows[RISK].to_numpy() for name, rows in self.rows.items()}
        lines = lines_of(scores)
        labels = self.rows[self.found.reference]["label"].to_numpy().astype(np.float64)
        few = min(labels.sum(), len(labels) - labels.sum()) < SMALLEST_CELL
        if few or not self.paired:
            return lines, []
        told = "; ".join(
            f"{name} {with_interval(figures['auroc'])}"
            for name, figures in self.found.models.items()
        )
        return lines, [
            roc_plot(labels, scores, f"Area under the curve: {told}."),
            precision_recall_plot(labels, scores, "See the table for the areas."),
            decision_plot(labels, scores),
        ]


def compare_runs(
    folders: Sequence[str],
    model: str | None = None,
    replicates: int = REPLICATES,
    seed: int = Choices().seed,
) -> RunsCompared:
    """Puts evaluations side by side, the first one being what others are held against.

    Where all were made on the same rows, every figure and difference comes from one
    paired bootstrap of those rows; else each keeps the figures of its evaluation. With
    an evaluation's own seed and replicates its figures are those of its page.

    Raises:
        InputError: fewer than two, or one twice.
        ArtifactError: no evaluation, or evaluations of different tasks.
    """
    if len(folders) < 2 or len({os.path.realpath(one) for one in folders}) < len(
        folders
    ):
        raise InputError("give two evaluations or more, each once")
    runs = _named([read_evaluated(one, model) for one in folders], folders)
    _refuse_other_tasks(runs)
    first = next(iter(runs.values()))
    kind = JUDGED.get(first.found.kind)
    judged = kind(first.predictions) if kind is not None else None
    if all(
        one.rows.columns == first.rows.columns and one.judged_on.equals(first.judged_on)
        for one in runs.values()
    ):
        found = _paired(runs, judged, replicates, seed)
        notes = ["All runs were judged on the same rows; differences are paired."]
    else:
        found = _beside(runs)
        notes = [
            "The runs were not judged on the same rows: figures stand side by side, "
            "and no difference is tested."
        ]
    models = {one.model for one in runs.values()}
    if len(models) > 1 or model:
        told = "; ".join(f"{name}: {one.model}" for name, one in runs.items())
        notes.append(f"Models: {told}.")
    named: dict[str, Any] = {
        **vars(found),
        "task": first.found.task,
        "simulated": any(one.found.simulated for one in runs.values()),
    }
    rows = {name: one.rows for name, one in runs.items()}
    return RunsCompared(Comparison(**named), tuple(notes), rows, judged)


def _refuse_other_tasks(runs: dict[str, Evaluated]) -> None:
    asked = {name: (one.found.task, one.found.kind) for name, one in runs.items()}
    if len(set(asked.values())) > 1 or any(not task for task, _ in asked.values()):
        kinds = len({kind for _, kind in asked.values()}) > 1
        told = ", ".join(
            f"{name}: {task or 'not told'}" + (f", {kind}" if kinds else "")
            for name, (task, kind) in asked.items()
        )
        raise ArtifactError(
            f"these evaluations are not of one task ({told}); compare runs of the same "
            "task, evaluated by this release"
        )


def _paired(
    runs: dict[str, Evaluated], judged: Judged | None, replicates: int, seed: int
) -> Comparison:
    """One bootstrap of rows that all runs share."""
    first = next(iter(runs.values()))
    frame = first.judged_on.with_columns(
        index_day=pl.col("index_date").cast(pl.Int32).cast(pl.Int64)
    )
    if judged is None:
        return compare(
            {name: one.rows[RISK].to_numpy() for name, one in runs.items()},
            frame, replicates, seed, subgroups=(),
            capacity=first.found.capacity or CAPACITY, fewest=Choices().fewest,
        )  # fmt: skip
    return compare_endpoints(
        judged,
        {name: one.rows.select(judged.columns) for name, one in runs.items()},
        frame, frame, replicates, seed, subgroups=(), fewest=Choices().fewest,
    )  # fmt: skip


def _beside(runs: dict[str, Evaluated]) -> Comparison:
    """Each run's own figures, as far as all have them."""
    first = next(iter(runs.values())).found
    models = {name: one.found.models[one.model] for name, one in runs.items()}
    shared = set.intersection(*(set(figures) for figures in models.values()))
    return Comparison(
        n=first.n, patients=first.patients, positives=first.positives,
        models={
            name: {one: figures[one] for one in figures if one in shared}
            for name, figures in models.items()
        },
        differences={}, reference=next(iter(runs)), subgroups=[],
        titles={n: title for n, title in first.titles.items() if n in shared},
        capacity=first.capacity, n_boot=first.n_boot, seed=first.seed,
        level=first.level, kind=first.kind,
    )  # fmt: skip


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
