"""The choices open to a user when claims become visits.

docs/visits.md shows each rule with a tiny example; the same examples are the tests.
"""

from __future__ import annotations

import os
from typing import Literal

from pydantic import Field, ValidationError

from claimpt_tf.errors import InputError
from claimpt_tf.yaml_lines import Block, describe_faults, load_yaml, read_yaml


class VisitRules(Block):
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
      encounters: "merge" treats an encounter that the source names like a claim;
        "keep" makes one visit of it as it stands, whatever the other rules say.
      link_pharmacy: True adds a fill to the visit that covers its day, if there is
        one, instead of making a pharmacy visit.
      enrolment_tolerance_days: Enrolment spans merge when at most this many
        uncovered days lie between them.

    Example:
      >>> VisitRules(inpatient_gap_days=0).model_dump_json(exclude_defaults=True)
      '{"inpatient_gap_days":0}'
    """

    denied: Literal["drop", "keep"] = "drop"
    inpatient_gap_days: int = Field(default=1, ge=0, le=366, strict=True)
    ed_before_admission_days: int = Field(default=1, ge=0, le=366, strict=True)
    outpatient: Literal["day", "claim"] = "day"
    encounters: Literal["merge", "keep"] = "merge"
    link_pharmacy: bool = False
    enrolment_tolerance_days: int = Field(default=1, ge=0, le=366, strict=True)


def load_rules(path: str | os.PathLike[str]) -> VisitRules:
    """Rules from a YAML file that names the fields to change.

    Args:
      path: A file such as `inpatient_gap_days: 0`; a file without any field gives
        the defaults.

    Raises:
      InputError: The file cannot be read, or is wrong: the message lists each fault
        with file, line, field and what is allowed.

    Example:
      >>> import tempfile
      >>> with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
      ...     _ = file.write("outpatient: claim\\n")
      ...     file.flush()
      ...     load_rules(file.name).outpatient
      'claim'
    """
    text = read_yaml(path, InputError)
    if not any(line.partition("#")[0].strip() for line in text.splitlines()):
        return VisitRules()
    root, given = load_yaml(text, str(path), InputError)
    try:
        return VisitRules.model_validate(given)
    except ValidationError as error:
        raise InputError(describe_faults(error, root, str(path))) from None
