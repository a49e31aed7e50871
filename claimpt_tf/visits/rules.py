"""The choices open to a user when claims become visits.

docs/visits.md shows each rule with a tiny example; the same examples are the tests.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class VisitRules(BaseModel):
    """How claim lines are merged into visits; frozen and JSON-serialisable.

    Attributes:
      denied: "drop" leaves lines the payer refused out of the timeline (counted),
        "keep" treats them like any other line.
      inpatient_gap_days: Inpatient claims of a member merge into one stay when the
        later one starts at most this many days after the earlier one ends. 0 merges
        overlapping claims only, 1 also adjacent ones.
      ed_before_admission_days: An emergency visit that ends at most this many days
        before a stay's first day is the way into that stay and merges into it.
      outpatient: "day" joins all outpatient lines of a member and day into one
        visit; "claim" makes one visit a claim.
      link_pharmacy: True adds a fill to the visit that covers its day, if there is
        one, instead of making a pharmacy visit.
      enrolment_tolerance_days: Enrolment spans merge when at most this many
        uncovered days lie between them.

    Example:
      >>> VisitRules(inpatient_gap_days=0).model_dump_json(exclude_defaults=True)
      '{"inpatient_gap_days":0}'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    denied: Literal["drop", "keep"] = "drop"
    inpatient_gap_days: int = Field(default=1, ge=0)
    ed_before_admission_days: int = Field(default=1, ge=0)
    outpatient: Literal["day", "claim"] = "day"
    link_pharmacy: bool = False
    enrolment_tolerance_days: int = Field(default=1, ge=0)
