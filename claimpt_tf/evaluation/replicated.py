"""Figures and what they are in every replicate, made into a comparison's parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import NDArray
from statsmodels.stats.multitest import multipletests

from claimpt_tf.evaluation.bootstrap import Difference, Interval, difference, interval
from claimpt_tf.evaluation.comparison import Figures, SubgroupFigures
from claimpt_tf.evaluation.metrics import Estimate
from claimpt_tf.evaluation.subgroups import Group
from claimpt_tf.evaluation.weighted import Floats


class Where(NamedTuple):
    """Whose figures: a model's on all rows, in a group, or on the rest of a grouping.

    Attributes:
        model: its name.
        group: position of the group among all groups; None for all rows.
        rest: everybody who is not of the group.
    """

    model: str
    group: int | None = None
    rest: bool = False


@dataclass(frozen=True)
class Replicated:
    """Figures as they are and in every replicate.

    Attributes:
        points: where -> figure -> estimate.
        drawn: where -> figure -> array of shape (n_boot,), NaN where not estimable.
        level: of intervals.
    """

    points: Mapping[Where, Mapping[str, Estimate]]
    drawn: Mapping[Where, Mapping[str, Floats]]
    level: float

    def intervals(self, where: Where, figures: Iterable[str]) -> dict[str, Interval]:
        """Figures with their intervals."""
        return {
            name: interval(
                self.points[where][name], self.drawn[where][name], self.level
            )
            for name in figures
        }

    def differences(
        self, where: Where, other: Where, figures: Iterable[str]
    ) -> dict[str, Difference]:
        """Figures less those elsewhere, paired by replicate."""
        return {
            name: difference(
                self.points[where][name],
                self.points[other][name],
                self.drawn[where][name],
                self.drawn[other][name],
                self.level,
            )
            for name in figures
        }

    def of_models(self, figures: Sequence[str]) -> Figures:
        """Every model on all rows, in the order given."""
        return {
            where.model: self.intervals(where, figures)
            for where in self.points
            if where.group is None
        }

    def against(
        self, reference: str, figures: Sequence[str]
    ) -> dict[str, dict[str, Difference]]:
        """Every other model less the reference, on all rows."""
        return {
            where.model: self.differences(where, Where(reference), figures)
            for where in self.points
            if where.group is None and where.model != reference
        }

    def within(
        self,
        groups: Sequence[Group],
        figures: Sequence[str],
        positives: Callable[[NDArray[Any]], int | None],
        corrected: Sequence[str],
    ) -> list[SubgroupFigures]:
        """What is told about each group.

        Args:
            groups: of all groupings; suppressed ones are withheld.
            figures: those that are told.
            positives: how many of some rows had the outcome.
            corrected: figures whose differences get corrected p-values.
        """
        gaps = {
            where.group: self.differences(
                Where(where.model, where.group), where, figures
            )
            for where in self.points
            if where.rest and where.group is not None
        }
        adjusted = holm(gaps, corrected)
        return [
            SubgroupFigures.withheld(group)
            if group.suppressed
            else SubgroupFigures.told(
                group,
                positives(group.rows),
                {
                    where.model: self.intervals(where, figures)
                    for where in self.points
                    if where.group == position and not where.rest
                },
                gaps.get(position, {}),
                adjusted.get(position, {}),
            )
            for position, group in enumerate(groups)
        ]


def holm(
    differences: Mapping[int, Mapping[str, Difference]], figures: Sequence[str]
) -> dict[int, dict[str, float | None]]:
    """Holm's p-values of each figure over all groups."""
    found: dict[int, dict[str, float | None]] = {at: {} for at in differences}
    for name in figures:
        tested = {
            at: one[name].p
            for at, one in differences.items()
            if one[name].p is not None
        }
        if tested:
            corrected = multipletests(list(tested.values()), method="holm")[1]
            for at, p in zip(tested, corrected, strict=True):
                found[at][name] = float(p)
    return found
