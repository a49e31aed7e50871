"""The columnar kernel: events and members in, timelines out.

A pure function of two frames, run by Beam on a few thousand members at a time.
Input rows may stand in any order. docs/visits.md explains the rules by example.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from claimpt_tf.claims.events import QUARANTINE_SCHEMA, SETTINGS
from claimpt_tf.claims.line_checks import UNKNOWN_INSTITUTION
from claimpt_tf.codes.validate import count_unknown
from claimpt_tf.visits import lines as claim_lines
from claimpt_tf.visits.claim_lines import ClaimLines
from claimpt_tf.visits.grouping import OTHER, group_lines
from claimpt_tf.visits.members import UNKNOWN_SEX, enrolment_fates, member_table
from claimpt_tf.visits.rules import VisitRules
from claimpt_tf.visits.timelines import timelines, visit_codes

EVENTS_TABLE = "claims"
MEMBERS_TABLE = "eligibility"


@dataclass(frozen=True)
class Assembled:
    """What the kernel makes of some members.

    Attributes:
      timelines: Follows TIMELINE_SCHEMA, sorted by patient id.
      quarantined: Follows QUARANTINE_SCHEMA, one row an input row, sorted.
      counts: Whole numbers by name, as `claimpt_tf.visits.summary` adds them up:
        `rows/TABLE/FATE` with FATE kept, duplicate, reversed, denied or
        `quarantined/REASON`; `members`, `members/without_visits`,
        `members/birth_date_conflict`, `members/sex_unknown`; `events`; `visits/TYPE`;
        `codes/SYSTEM`, `unknown_codes/SYSTEM`;
        `first_day` and `last_day` of any visit, absent without visits.
    """

    timelines: pl.DataFrame
    quarantined: pl.DataFrame
    counts: dict[str, int]


def assemble(
    events: pl.DataFrame, members: pl.DataFrame, rules: VisitRules | None = None
) -> Assembled:
    """Makes one timeline a member.

    Args:
      events: EVENT_SCHEMA; a column `table` may name each row's input table, within
        which claim ids and file names are unique.
      members: MEMBER_SCHEMA, and `table` likewise. All rows of a member, of both
        frames, must come in one call.
      rules: The choices; the defaults when None.

    Returns:
      Timelines of the members with an enrolment span and a birth date, with or
      without visits; the rows that could not be used, with reasons; and counts, in
      which each input row has exactly one fate.

    Example:
      >>> from claimpt_tf.claims.events import EVENT_SCHEMA, MEMBER_SCHEMA
      >>> child = {"member": "a", "birth_day": 14000, "sex": "F",
      ...     "enrolled_from": 15000, "enrolled_to": 15364, "row": 1}
      >>> fever = {"member": "a", "day": 15010, "end_day": 15010, "setting": "OP",
      ...     "system": "ICD10CM", "code": "R509", "claim": "1", "line": 1, "row": 1}
      >>> done = assemble(
      ...     pl.DataFrame([fever], schema=EVENT_SCHEMA),
      ...     pl.DataFrame([child], schema=MEMBER_SCHEMA),
      ... )
      >>> done.timelines.select("visit_days", "visit_types", "codes").row(0)
      ([15010], ['OP'], [['ICD10CM:R509']])
    """
    return assemble_lines(
        ClaimLines.of(_with_table(events, EVENTS_TABLE)),
        _with_table(members, MEMBERS_TABLE),
        rules,
    )


def assemble_lines(
    claims: ClaimLines, members: pl.DataFrame, rules: VisitRules | None = None
) -> Assembled:
    """As `assemble`, of events that are already lines and codes.

    Args:
      claims: Lines with `table`; `member` may be an Enum.
      members: MEMBER_SCHEMA and `table`.
      rules: The choices; the defaults when None.
    """
    rules = rules or VisitRules()
    people = member_table(
        members, _people(claims.lines, members), rules.enrolment_tolerance_days
    )
    lines, codes = claim_lines.number_lines(
        ClaimLines(_with_who(claims.lines, people), claims.codes)
    )
    lines = claim_lines.settle(lines, codes, people, rules.denied == "drop")
    kept, visits = group_lines(lines.filter(pl.col("fate") == claim_lines.KEPT), rules)
    coded = _of_visits(codes, lines, kept)
    codes = visit_codes(coded, visits)
    wanted = people.filter("enrolled", pl.col("birth_day").is_not_null())
    done = timelines(_with_institution(wanted, kept), visits, codes)
    fates = pl.concat([claim_lines.line_fates(lines), enrolment_fates(members, people)])
    return Assembled(
        timelines=done,
        quarantined=fates.rename({"fate": "reason"})
        .filter(pl.col("column").is_not_null())
        .select(pl.col(name).cast(dtype) for name, dtype in QUARANTINE_SCHEMA.items())
        .sort("table", "source", "row"),
        counts=_row_counts(fates)
        | _content_counts(people, done, visits, codes)
        | {"events": coded.height},
    )


def _with_table(frame: pl.DataFrame, default: str) -> pl.DataFrame:
    if "table" in frame.columns:
        return frame
    return frame.with_columns(table=pl.lit(default))


def _people(lines: pl.DataFrame, members: pl.DataFrame) -> pl.Series:
    ids = [lines["member"].unique().cast(pl.String), members["member"].unique()]
    return pl.concat(ids).unique().drop_nulls().sort()


def _of_visits(
    codes: pl.DataFrame, lines: pl.DataFrame, kept: pl.DataFrame
) -> pl.DataFrame:
    """The codes of kept lines, with `visit`, and `day` and `line` of their lines."""
    visit = np.full(lines.height, -1, dtype=np.int64)
    visit[kept["at"].to_numpy()] = kept["visit"].to_numpy()
    of_code = pl.Series(visit[codes["at"].to_numpy()], dtype=pl.Int64)
    coded = codes.with_columns(visit=of_code).filter(pl.col("visit") >= 0)
    return coded.with_columns(
        lines[name].gather(coded["at"]) for name in ("day", "line")
    )


def _with_who(events: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    """Replaces member ids by their row in `people` and settings by their place."""
    who = pl.col("member").cast(pl.Enum(people["member"])).to_physical()
    given = pl.col("setting").replace_strict(
        SETTINGS, range(len(SETTINGS)), default=OTHER, return_dtype=pl.Int8
    )
    # Without one, a line is of the kind of its encounter: see `group_lines`.
    setting = pl.when(pl.col("setting").is_not_null()).then(given)
    return events.with_columns(
        who=who.cast(pl.UInt32),
        setting=setting,
        line=pl.col("line").fill_null(0),
    ).drop("member")


def _with_institution(people: pl.DataFrame, kept: pl.DataFrame) -> pl.DataFrame:
    """Takes an institution that eligibility does not give from the latest line."""
    lacking = people.filter(pl.col("institution").is_null())
    if not lacking.is_empty():
        latest = (
            kept.filter(~pl.col("institution").is_in(["", UNKNOWN_INSTITUTION]))
            .join(lacking, on="who", how="semi")
            .sort("day", "institution")
            .group_by("who", maintain_order=True)
            .agg(latest=pl.col("institution").last())
        )
        people = people.join(
            latest, on="who", how="left", maintain_order="left"
        ).with_columns(institution=pl.coalesce("institution", "latest"))
    return people.with_columns(pl.col("institution").fill_null(UNKNOWN_INSTITUTION))


def _row_counts(fates: pl.DataFrame) -> dict[str, int]:
    tally = fates.group_by("table", "fate", quarantined=pl.col("column").is_not_null())
    return {
        f"rows/{table}/{'quarantined/' if quarantined else ''}{fate}": count
        for table, fate, quarantined, count in tally.len().sort("table", "fate").rows()
    }


def _content_counts(
    people: pl.DataFrame,
    done: pl.DataFrame,
    visits: pl.DataFrame,
    codes: pl.DataFrame,
) -> dict[str, int]:
    counts = {
        "members": done.height,
        "members/without_visits": int((done["visit_days"].list.len() == 0).sum()),
        "members/birth_date_conflict": int(people["conflict"].sum()),
        "members/sex_unknown": int((done["sex"] == UNKNOWN_SEX).sum()),
    }
    for setting, count in visits.group_by("setting").len().sort("setting").rows():
        counts[f"visits/{SETTINGS[setting]}"] = count
    for system, count in codes.group_by("system").len().sort("system").rows():
        counts[f"codes/{system}"] = count
    for system, count in count_unknown(codes["code"]).items():
        counts[f"unknown_codes/{system}"] = count
    if not visits.is_empty():
        first, last = visits.select(
            first=pl.col("day").min(), last=pl.col("end_day").max()
        ).row(0)
        counts |= {"first_day": first, "last_day": last}
    return counts
