"""From visits to claim lines, still as numbers."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from claimpt_tf.claims.simulator.code_book import CodeBook
from claimpt_tf.claims.simulator.draws import Bools, Floats, Ints, Streams
from claimpt_tf.claims.simulator.latent import Latent
from claimpt_tf.claims.simulator.line_specs import (
    KIND_LINES,
    REASON_LINES,
    LineSpec,
    same,
)
from claimpt_tf.claims.simulator.planned_visits import SCHEDULE
from claimpt_tf.claims.simulator.population import YEAR
from claimpt_tf.claims.simulator.visits import Visits

Small = NDArray[np.int32]


@dataclass(frozen=True)
class Lines:
    """Columns of equal length.

    Attributes:
      visit: int32, row of the visit.
      part: int32, PROFESSIONAL or FACILITY claim of the visit.
      offset: int32, days after the visit's first day.
      hcpcs, revenue, modifier: int32, numbers in the code book, 0 for none.
      units: int32.
      charge: float64, dollars for all units.
    """

    visit: Small
    part: Small
    offset: Small
    hcpcs: Small
    revenue: Small
    modifier: Small
    units: Small
    charge: Floats

    def take(self, rows: Ints) -> Lines:
        """The chosen rows, in that order."""
        return Lines(*(getattr(self, f.name)[rows] for f in fields(self)))

    def __len__(self) -> int:
        return len(self.visit)


class _LineWriter:
    """Gathers the lines that each specification gives."""

    def __init__(
        self, visits: Visits, latent: Latent, streams: Streams, book: CodeBook
    ) -> None:
        self._visits, self._streams, self._book = visits, streams, book
        population = latent.population
        self._institution = population.institution[visits.member]
        self._age = (visits.day - population.birth[visits.member]) / YEAR
        last = latent.calendar.months - 1
        month = np.clip(latent.calendar.month_index(visits.day), 0, last)
        self._severity = latent.severity["general"][visits.member, month]
        self._parts: list[Lines] = []

    def add(self, rows: Ints, spec: LineSpec, subject: str) -> None:
        """Lines of `spec` on the visits at `rows`."""
        rng = self._streams(f"lines {subject}")
        young, old = spec.ages
        fits = (self._age[rows] >= young) & (self._age[rows] < old)
        visit = rows[fits & (rng.random(len(rows)) < spec.chance)]
        stay = np.maximum(self._visits.stay[visit], 1)
        offset = np.zeros(len(visit), dtype=np.int64)
        if spec.daily:
            begin = np.cumsum(stay) - stay
            visit = np.repeat(visit, stay)
            offset = np.arange(len(visit)) - np.repeat(begin, stay)
        units = np.maximum(self._visits.stay[visit], 1) if spec.per_day else 1
        price = spec.charge * np.exp(0.25 * rng.standard_normal(len(visit)) - 0.03)

        def number(code: str) -> int:
            return self._book.number(code) if code else 0

        def column(value: int | Ints) -> Small:
            return np.broadcast_to(value, visit.shape).astype(np.int32)

        self._parts.append(
            Lines(
                visit=column(visit),
                part=column(spec.part),
                offset=column(offset),
                hcpcs=column(self._codes(visit, spec, rng)),
                revenue=column(number(spec.revenue)),
                modifier=column(number(spec.modifier)),
                units=column(units),
                charge=np.round(price * units, 2),
            )
        )

    def _codes(self, visit: Ints, spec: LineSpec, rng: np.random.Generator) -> Ints:
        if spec.codes is None:
            return np.zeros(len(visit), dtype=np.int64)
        place = self._institution[visit]
        if not spec.graded:
            return self._book.draw(spec.codes, place, rng.random(len(visit)))
        levels = np.array([self._book.number(code) for code in spec.codes.a])
        middle = (len(levels) - 1) / 2
        noise = 0.7 * rng.standard_normal(len(visit))
        level = np.rint(middle - 0.2 + 0.25 * self._severity[visit] + noise)
        return levels[np.clip(level, 0, len(levels) - 1).astype(np.int64)]

    def finish(self) -> Lines:
        """All lines gathered, by visit and claim, the main line first."""
        names = [f.name for f in fields(Lines)]
        whole = Lines(
            *(np.concatenate([getattr(p, name) for p in self._parts]) for name in names)
        )
        # stable, so that lines keep the order of the specifications
        return whole.take(np.argsort(2 * whole.visit + whole.part, kind="stable"))


def draw_lines(
    visits: Visits, latent: Latent, streams: Streams, book: CodeBook
) -> Lines:
    """Every line billed for the visits, grouped by visit and claim."""
    writer = _LineWriter(visits, latent, streams, book)
    for kind, specs in KIND_LINES.items():
        rows = np.flatnonzero(visits.of_kind(kind))
        for number, spec in enumerate(specs):
            writer.add(rows, spec, f"{kind} {number}")
    for reason, extras in REASON_LINES.items():
        because = visits.because(reason)
        for number, (kinds, spec) in enumerate(extras):
            rows = np.flatnonzero(because & visits.of_kind(*kinds))
            writer.add(rows, spec, f"{reason} {number}")
    _vaccines(visits, latent, writer)
    return writer.finish()


def _vaccines(visits: Visits, latent: Latent, writer: _LineWriter) -> None:
    place = latent.population.institution[visits.member]
    for item, due in enumerate(SCHEDULE):
        for institution, vaccines in enumerate((due.vaccines_a, due.vaccines_b)):
            here: Bools = (visits.item == item) & (place == institution)
            rows = np.flatnonzero(here)
            for number, vaccine in enumerate(vaccines):
                spec = LineSpec(same(vaccine), 95, chance=0.93, modifier="SL")
                writer.add(rows, spec, f"vaccine {item} {institution} {number}")
            if vaccines:
                first = ("90471", "90460")[institution == 0]
                subject = f"vaccination {item} {institution}"
                writer.add(rows, LineSpec(same(first), 26), f"{subject} first")
                more = ("90472", "90461")[institution == 0]
                writer.add(rows, LineSpec(same(more), 16), f"{subject} more")
