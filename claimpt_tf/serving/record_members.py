"""Members of records, as people would write them in JSON."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from claimpt_tf.claims.privacy import hash_members, load_key
from claimpt_tf.errors import InputError
from claimpt_tf.serving.score import find_records
from claimpt_tf.visits.records import decode, read_records

_EPOCH = datetime.date(1970, 1, 1)
_PER_VISIT = ("visit_days", "visit_types", "visit_length", "codes", "cost")


def members_of_records(
    data: Sequence[str],
    member_ids: Sequence[str],
    index_date: datetime.date | None = None,
    key_file: str | None = None,
) -> list[dict[str, Any]]:
    """Looks members up by their raw ids, which only who has the key can do.

    Args:
        data: files, patterns, or folders of `claimpt ingest`.
        member_ids: raw ids.
        index_date: last day whose information may be used; None takes each member's
            last known day.
        key_file: as load_key's.

    Returns:
        One member an id, in their order, as claimpt_tf.serving.requests describes
        them; visits that begin after the index date are left out.

    Raises:
        ArtifactError: no records.
        InputError: a member is not in them (its place is named, not its id), or the
            key is missing.
    """
    hashed = hash_members(pl.Series(list(member_ids)), load_key(key_file)).to_list()
    found: dict[str, Mapping[str, Any]] = {}
    for file in find_records(data):
        rows = decode(list(read_records([file])))
        for row in rows.filter(pl.col("patient_id").is_in(hashed)).to_dicts():
            found[row["patient_id"]] = row
    missing = [n for n, one in enumerate(hashed, start=1) if one not in found]
    if missing:
        raise InputError(
            f"{', '.join(data)}: {len(missing)} of the {len(hashed)} members asked for "
            f"are not here, the first is number {missing[0]} of those given. Check the "
            "id, and that the key is the one that ingest used"
        )
    return [_member(found[one], index_date) for one in hashed]


def _member(row: Mapping[str, Any], index_date: datetime.date | None) -> dict[str, Any]:
    visits = list(zip(*(row[name] for name in _PER_VISIT), strict=True))
    if index_date is None:
        ends = [day + length for day, _, length, _, _ in visits]
        index_date = _date(max([*ends, *([] if ends else row["enrolled_to"])]))
    return {
        "sex": row["sex"],
        "birth_date": _date(row["birth_days"]).isoformat(),
        "index_date": index_date.isoformat(),
        "visits": [
            {
                "date": _date(day).isoformat(),
                "type": kind,
                "codes": codes,
                "length": length,
                "cost": cost,
            }
            for day, kind, length, codes, cost in visits
            if _date(day) <= index_date
        ],
    }


def _date(day: int) -> datetime.date:
    return _EPOCH + datetime.timedelta(days=day)
