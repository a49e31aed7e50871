"""Claim lines that collide often, drawn for property tests."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import strategies as st

from claimpt_tf.visits.rules import VisitRules
from tests.visits.tables import line, member

CODES = ["ICD10CM:J4530", "ICD10CM:A000", "HCPCS:99213", "NDC:00173068220", "CVX:08"]
CHILDREN = [f"{number:08x}" * 4 for number in range(60)]
NOT_ENROLLED = "deadbeef" * 4
PEOPLE = [member(child, birth_day=0) for child in CHILDREN]


def lines(seed: int) -> list[dict[str, Any]]:
    """Up to ten lines a child on few days, claims and amounts, in no order.

    Some are repeated and some reversed. Drawn by seed rather than by hypothesis,
    whose examples resemble each other too much to meet the rarer rules.
    """
    chance = random.Random(seed)
    drawn = [
        _one_line(chance, child)
        for child in [*CHILDREN, NOT_ENROLLED]
        for _ in range(chance.randint(0, 10))
    ]
    for one in chance.choices(drawn, k=len(drawn) // 5):
        drawn.append(dict(one))
    for one in chance.choices(drawn, k=len(drawn) // 5):
        drawn.append({**one, "amount": -abs(one["amount"])})
    chance.shuffle(drawn)
    return drawn


def _one_line(chance: random.Random, child: str) -> dict[str, Any]:
    setting = chance.choice(["IP", "IP", "ED", "ED", "OP", "OP", "RX", "OTHER"])
    day = chance.randint(-2, 14)
    return line(
        # Fills have claims of their own; a medical claim mixes the other settings.
        chance.choice("rst" if setting == "RX" else "abcdef"),
        chance.randint(0, 2),
        setting,
        day,
        *chance.sample(CODES, chance.randint(0, 3)),
        end=day + chance.choice([0, 0, 0, 1, 3]),
        paid=chance.choice([0.0, 10.5, 20.0]),
        denied=chance.random() < 0.1,
        member=child,
    )


seeds = st.integers(0, 2**32)
rules = st.builds(
    VisitRules,
    denied=st.sampled_from(["drop", "keep"]),
    inpatient_gap_days=st.integers(0, 3),
    ed_before_admission_days=st.integers(0, 2),
    outpatient=st.sampled_from(["day", "claim"]),
    link_pharmacy=st.booleans(),
)
