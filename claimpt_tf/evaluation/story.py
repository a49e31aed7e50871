"""What a page and a card tell of a model besides its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from claimpt_tf.evaluation.examples import Example
from claimpt_tf.tasks.spec import Task


@dataclass(frozen=True)
class Story:
    """What the page and the card tell besides figures.

    Attributes:
        task: the question.
        attrition: `Attrition.export()`.
        source: the input standard's name.
        simulated: the members were made by this project's simulator.
        facts: heading -> text about the model.
        lineage: heading -> text about where it came from.
        commands: what to type to get this again.
        notes: what else limits the figures.
        run_id: of the run.
        examples: predictions of single rows, explained.
        split: how test rows were parted from what was learned, and what that leaves
            open.
        learning: what `learning_curve` gives; None where none was made.
    """

    task: Task
    attrition: Mapping[str, Any] | None = None
    source: str = ""
    simulated: bool = False
    facts: Mapping[str, str] = field(default_factory=dict)
    lineage: Mapping[str, str] = field(default_factory=dict)
    commands: Sequence[str] = ()
    notes: Sequence[str] = ()
    run_id: str = ""
    split: str = (
        "One data source, split at random by member. How the model does elsewhere, or "
        "later, has not been measured here."
    )
    examples: Sequence[Example] = ()
    learning: pl.DataFrame | None = None
