"""What goes wrong with real claims: repeats, reversals, denials, late payment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from claimpt_tf.claims.simulator.draws import Bools, Floats, Ints

ALLOWED_SHARE = 0.44  # of the charge


@dataclass(frozen=True)
class Rates:
    """How often each kind of trouble happens.

    Attributes:
      denied: share of claims refused.
      resubmitted: share of refused claims sent again under a new number and paid.
      late: share of claims paid 3 to 9 months after the service.
      repeated: share of lines that stand in the table twice.
      reversed: share of paid lines taken back.
      corrected: share of reversed lines that are then billed anew.
    """

    denied: float
    resubmitted: float
    late: float
    repeated: float
    reversed: float
    corrected: float


MEDICAL = Rates(0.025, 0.4, 0.03, 0.008, 0.008, 0.6)
PHARMACY = Rates(0.015, 0.3, 0.01, 0.006, 0.02, 0.25)


@dataclass(frozen=True)
class Ledger:
    """Rows of a claims table, ordered by claim number, line and time of entry.

    Attributes:
      line: int64 [rows], the clean line each row stems from.
      claim: int64 [rows], claim number from 0, by day of service.
      number: int64 [rows], line number within the claim, from 1.
      paid_day: int64 [rows].
      charge, allowed, paid: float64 [rows], dollars.
    """

    line: Ints
    claim: Ints
    number: Ints
    paid_day: Ints
    charge: Floats
    allowed: Floats
    paid: Floats


def keep_books(
    claim: Ints,
    end_day: Ints,
    charge: Floats,
    certain: Bools,
    rates: Rates,
    rng: np.random.Generator,
) -> Ledger:
    """Bills clean lines, with the trouble that comes with it.

    Args:
      claim: int64 [lines], the claim of each line, ascending from 0 without holes.
      end_day: int64 [lines], last day of service of the claim.
      charge: float64 [lines].
      certain: bool [lines], lines that are neither denied nor taken back for good.
      rates: how often things go wrong.
      rng: where the randomness comes from.
    """
    claims = int(claim[-1]) + 1 if len(claim) else 0
    begin = np.searchsorted(claim, np.arange(claims))
    number = np.arange(len(claim)) - begin[claim] + 1
    spared = np.zeros(claims, dtype=bool)
    spared[claim[certain]] = True
    refused = (rng.random(claims) < rates.denied) & ~spared
    again = refused & (rng.random(claims) < rates.resubmitted)
    lag = 5 + np.floor(rng.exponential(16.0, claims)).astype(np.int64)
    late = rng.random(claims) < rates.late
    lag += late * (90 + np.floor(rng.random(claims) * 180).astype(np.int64))
    allowed = np.round(charge * ALLOWED_SHARE, 2) * ~refused[claim]

    everyone = np.arange(len(claim))
    once_more = everyone[again[claim]]
    repeated = everyone[rng.random(len(claim)) < rates.repeated]
    paid_lines = ~refused[claim]
    taken_back = everyone[paid_lines & (rng.random(len(claim)) < rates.reversed)]
    mended = rng.random(len(taken_back)) < rates.corrected
    corrected = taken_back[mended | certain[taken_back]]

    groups = (everyone, repeated, taken_back, corrected, once_more)
    line = np.concatenate(groups)
    kind = np.repeat(np.arange(len(groups)), [len(g) for g in groups])
    new_claim = np.cumsum(again) - 1 + claims
    number_of = np.where(kind == 4, new_claim[claim[line]], claim[line])
    later = np.array([0, 0, 25, 32, 45])[kind]
    sign = np.array([1.0, 1.0, -1.0, 1.0, 1.0])[kind]
    revised = np.where(kind == 3, 0.9, 1.0)
    billed = charge[line] * revised
    granted = np.where(kind == 4, charge[line] * ALLOWED_SHARE, allowed[line] * revised)
    rank = _by_day(end_day, begin, again, rng)[number_of]
    order = np.lexsort((kind, number[line], rank))
    amounts = np.round(sign * granted, 2)[order]
    return Ledger(
        line=line[order],
        claim=rank[order],
        number=number[line][order],
        paid_day=(end_day[line] + lag[claim[line]] + later)[order],
        charge=np.round(sign * billed, 2)[order],
        allowed=amounts,
        paid=amounts,
    )


def _by_day(end_day: Ints, begin: Ints, again: Bools, rng: np.random.Generator) -> Ints:
    """Claim numbers in order of service, those sent again a while later."""
    first = end_day[begin]
    entered = np.concatenate([first, first[again] + 40])
    order = np.lexsort((rng.random(len(entered)), entered))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank
