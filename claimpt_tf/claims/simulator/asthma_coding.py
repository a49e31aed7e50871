"""How asthma is coded: a noisy guess at its severity, and at how the visit went."""

from __future__ import annotations

import numpy as np

from claimpt_tf.claims.simulator.code_book import CodeBook
from claimpt_tf.claims.simulator.draws import Bools, Floats, Ints

GRADES = ("J452", "J453", "J454", "J455")  # intermittent to severe persistent
PLAIN, EXACERBATION, STATUS = "0", "1", "2"
_UNSPECIFIED = {PLAIN: "J45909", EXACERBATION: "J45901", STATUS: "J45902"}
UNSPECIFIED_SHARE = (0.12, 0.4)  # by institution

# What the asthma outcome is made of, at an emergency or inpatient visit.
ACUTE_CODES = tuple(
    sorted(
        [grade + how for grade in GRADES for how in (EXACERBATION, STATUS)]
        + [_UNSPECIFIED[EXACERBATION], _UNSPECIFIED[STATUS]]
    )
)


def asthma_codes(
    book: CodeBook,
    institution: Ints,
    severity: Floats,
    habit: Floats,
    rng: np.random.Generator,
    exacerbated: Bools,
    status: Bools,
) -> Ints:
    """Code numbers of asthma diagnoses.

    Args:
      book: numbers the codes.
      institution: int64 [n], 0 or 1; b mostly leaves the grade out.
      severity: float64 [n], the hidden asthma severity in the visit's month.
      habit: float64 [n], standard normal, the same on all visits of a member.
      rng: where the visit's own noise comes from.
      exacerbated: bool [n], coded as with exacerbation.
      status: bool [n], coded as status asthmaticus; wins over exacerbation.

    Returns:
      int64 [n].
    """
    noise = 0.3 * habit + 0.45 * rng.standard_normal(len(severity))
    grade = np.clip(np.floor(1.4 + 1.0 * severity + noise), 0, 3).astype(np.int64)
    vague = rng.random(len(severity)) < np.array(UNSPECIFIED_SHARE)[institution]
    how = np.where(status, 2, np.where(exacerbated, 1, 0))
    endings = (PLAIN, EXACERBATION, STATUS)
    graded = np.array([[book.number(g + e) for e in endings] for g in GRADES])
    unspecified = np.array([book.number(_UNSPECIFIED[e]) for e in endings])
    return np.where(vague, unspecified[how], graded[grade, how])
