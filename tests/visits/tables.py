"""Events and members written by hand, a line each."""

from __future__ import annotations

import polars as pl

from claimpt_tf.claims.events import EVENT_SCHEMA, MEMBER_SCHEMA

CHILD = "c0ffee00" * 4
OTHER_CHILD = "00c0ffee" * 4
SOURCE = "claims.csv"


def line(
    claim: str,
    number: int,
    setting: str | None,
    day: int,
    *codes: str,
    end: int | None = None,
    paid: float = 0.0,
    denied: bool = False,
    member: str = CHILD,
    institution: str | None = "north",
    encounter: str | None = None,
) -> dict[str, object]:
    """One claim line; codes as SYSTEM:CODE."""
    return {
        "member": member,
        "claim": claim,
        "encounter": encounter,
        "line": number,
        "setting": setting,
        "day": day,
        "end_day": day if end is None else end,
        "codes": list(codes),
        "amount": paid,
        "denied": denied,
        "institution": institution,
    }


def events(*lines: dict[str, object], first_row: int = 1) -> pl.DataFrame:
    """The event table of these lines, one input row each."""
    rows = []
    for row, given in enumerate(lines, start=first_row):
        codes = given["codes"] or [None]
        assert isinstance(codes, list)
        for place, code in enumerate(codes):
            system, _, bare = (code or "").partition(":")
            rows.append(
                {
                    **{k: v for k, v in given.items() if k != "codes"},
                    "system": system or None,
                    "code": bare or None,
                    "amount": given["amount"] if place == 0 else 0.0,
                    "source": SOURCE,
                    "row": row,
                }
            )
    return pl.DataFrame(rows, schema=EVENT_SCHEMA, orient="row")


def member(
    member_id: str = CHILD,
    birth_day: int | None = -4000,
    sex: str | None = "F",
    enrolled: tuple[int, int] | None = (-4000, 4000),
    institution: str | None = "north",
) -> dict[str, object]:
    """One eligibility row."""
    return {
        "member": member_id,
        "birth_day": birth_day,
        "sex": sex,
        "institution": institution,
        "enrolled_from": enrolled[0] if enrolled else None,
        "enrolled_to": enrolled[1] if enrolled else None,
    }


def members(*rows: dict[str, object]) -> pl.DataFrame:
    """The member table of these rows; one ordinary child when there are none."""
    return pl.DataFrame(
        [
            {**row, "source": "eligibility.csv", "row": number}
            for number, row in enumerate(rows or [member()], start=1)
        ],
        schema=MEMBER_SCHEMA,
        orient="row",
    )
