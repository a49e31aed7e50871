"""Hypothesis strategies for claim lines that collide often."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from claimpt_tf.visits.rules import VisitRules
from tests.visits.tables import CHILD, OTHER_CHILD, line, member

CODES = ["ICD10CM:J4530", "ICD10CM:A000", "HCPCS:99213", "NDC:00173068220", "CVX:08"]
CHILDREN = [CHILD, OTHER_CHILD, *(f"{n:08x}" * 4 for n in range(4))]
NOT_ENROLLED = "deadbeef" * 4
PEOPLE = [member(child, birth_day=0) for child in CHILDREN]


@st.composite
def lines(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Up to fifty lines on few days, claims and amounts; some repeated, reversed."""
    size = draw(st.integers(0, 50))
    drawn = draw(st.lists(_one_line(), min_size=size, max_size=size))
    if drawn:
        again = draw(st.lists(st.sampled_from(drawn), max_size=6))
        reversed_ = draw(st.lists(st.sampled_from(drawn), max_size=6))
        drawn = [
            *drawn,
            *again,
            *({**one, "amount": -abs(one["amount"])} for one in reversed_),
        ]
    return draw(st.permutations(drawn))


@st.composite
def _one_line(draw: st.DrawFn) -> dict[str, Any]:
    setting = draw(st.sampled_from(["IP", "ED", "OP", "RX", "OTHER", "OP", "IP"]))
    day = draw(st.integers(-2, 20))
    return line(
        # Fills have claims of their own; a medical claim mixes the other settings.
        draw(st.sampled_from("rst" if setting == "RX" else "abcdef")),
        draw(st.integers(0, 2)),
        setting,
        day,
        *draw(st.lists(st.sampled_from(CODES), max_size=3, unique=True)),
        end=day + draw(st.sampled_from([0, 0, 0, 1, 3])),
        paid=draw(st.sampled_from([0.0, 10.5, 20.0])),
        denied=draw(st.integers(0, 9)) == 0,
        member=draw(st.sampled_from([*CHILDREN, *CHILDREN, NOT_ENROLLED])),
    )


rules = st.builds(
    VisitRules,
    denied=st.sampled_from(["drop", "keep"]),
    inpatient_gap_days=st.integers(0, 3),
    ed_before_admission_days=st.integers(0, 2),
    outpatient=st.sampled_from(["day", "claim"]),
    link_pharmacy=st.booleans(),
)
