"""A member as people write one in JSON, and what the model takes instead.

A member: `{"sex": "F", "birth_date": "2012-04-03", "index_date": "2023-06-30",
"visits": [{"date": "2023-01-05", "type": "OP", "codes": ["ICD10CM:J45.40"],
"length": 0, "cost": 120.0}]}`. The index date is the last day whose information may
be used. Messages name the place (`members[0].visits[3].date`), never the value:
values are health data.
"""

from __future__ import annotations

import datetime
import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from claimpt_tf.claims.events import SETTINGS
from claimpt_tf.codes.systems import SYSTEMS
from claimpt_tf.errors import InputError
from claimpt_tf.visits import records

SEXES = ("F", "M", "U")
UNKNOWN_INDEX_DAY = -1  # as claimpt_tf.visits.parse: the whole record is known

PREDICT_INPUTS = (
    "codes",
    "visit_days",
    "visit_types",
    "visit_length",
    "cost",
    "sex",
    "birth_days",
    "index_day",
)

_EPOCH = datetime.date(1970, 1, 1).toordinal()
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MEMBER_KEYS = ("sex", "birth_date", "index_date", "visits")
_VISIT_KEYS = ("date", "type", "codes", "length", "cost")
_LONGEST_STAY = 36_525  # days; anything longer is a date mistaken for a length
_LARGEST_COST = 1e9
_ALIASES = {"CPT": "HCPCS", "CPT4": "HCPCS", "ICD10": "ICD10CM", "ICD9": "ICD9CM"}


@dataclass(frozen=True)
class Visit:
    """One visit: days since 1970-01-01, days of stay, canonical codes, amount."""

    day: int
    type: str
    length: int
    codes: tuple[str, ...]
    cost: float


@dataclass(frozen=True)
class Member:
    """One member up to an index date; visits ordered by day."""

    sex: str
    birth_day: int
    index_day: int
    visits: tuple[Visit, ...]


def _fail(where: str, what: str) -> InputError:
    return InputError(f"{where}: {what}")


def _object(value: object, where: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _fail(where, f"must be an object with {', '.join(keys)}")
    for key in value:
        if key not in keys:
            close = difflib.get_close_matches(str(key), keys, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise _fail(
                where, f"has a field other than {', '.join(keys)}{hint} Remove it."
            )
    return value


def _required(value: Mapping[str, Any], key: str, where: str) -> Any:
    if value.get(key) is None:
        raise _fail(f"{where}.{key}", "is missing")
    return value[key]


def _day(value: object, where: str) -> int:
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return datetime.date.fromisoformat(value).toordinal() - _EPOCH
        except ValueError:
            pass
    raise _fail(where, 'is not a date; write it as "2023-01-05"')


def _code(value: object, where: str) -> str:
    system, colon, code = value.partition(":") if isinstance(value, str) else ("",) * 3
    system = re.sub(r"[^A-Z0-9]", "", system.upper())
    system = _ALIASES.get(system, system)
    if not colon or not code.strip():
        raise _fail(
            where,
            "has no system prefix; write the code with its system, for example "
            '"ICD10CM:J45.40", "HCPCS:99213" or "NDC:00173068220"',
        )
    if system not in SYSTEMS:
        raise _fail(
            where, f"names an unknown code system; known are {', '.join(SYSTEMS)}"
        )
    return f"{system}:{code}"


def _canonical(codes: Iterable[str]) -> dict[str, str | None]:
    """Each given code with its canonical form, null for what is no code."""
    by_system: dict[str, list[str]] = {}
    for code in dict.fromkeys(codes):
        system, _, bare = code.partition(":")
        by_system.setdefault(system, []).append(bare)
    found: dict[str, str | None] = {}
    for system, given_codes in by_system.items():
        clean = SYSTEMS[system].normalise(pl.Series(given_codes, dtype=pl.String))
        for given, canonical in zip(given_codes, clean.to_list(), strict=True):
            found[f"{system}:{given}"] = canonical and f"{system}:{canonical}"
    return found


def _visit(value: object, where: str, index_day: int) -> Visit:
    fields = _object(value, where, _VISIT_KEYS)
    day = _day(_required(fields, "date", where), f"{where}.date")
    kind = _required(fields, "type", where)
    if not isinstance(kind, str) or kind not in SETTINGS:
        raise _fail(f"{where}.type", f"must be one of {', '.join(SETTINGS)}")
    length = fields.get("length", 0)
    if type(length) is not int or not 0 <= length <= _LONGEST_STAY:
        raise _fail(
            f"{where}.length", "must be a whole number of days, 0 for the same day"
        )
    if day > index_day:
        raise _fail(
            f"{where}.date",
            "lies after index_date; leave the visit out, or move the index date",
        )
    if day + length > index_day:
        raise _fail(
            f"{where}.length",
            "makes the visit end after index_date, when it is not known yet; leave "
            "the visit out, or move the index date",
        )
    cost = fields.get("cost", 0.0)
    if (
        isinstance(cost, bool)
        or not isinstance(cost, int | float)
        or not 0 <= cost <= _LARGEST_COST
    ):
        raise _fail(f"{where}.cost", "must be a number, 0 or more")
    codes = fields.get("codes", [])
    if not isinstance(codes, Sequence) or isinstance(codes, str | bytes):
        raise _fail(f"{where}.codes", "must be a list of codes")
    return Visit(
        day=day,
        type=kind,
        length=length,
        codes=tuple(_code(c, f"{where}.codes[{i}]") for i, c in enumerate(codes)),
        cost=float(cost),
    )


def parse_members(members: Sequence[Mapping[str, Any]]) -> list[Member]:
    """Checks members and makes their codes canonical.

    Codes lose dots and spaces as they do when claims are read; one that turns out
    empty, or stands twice in a visit, is dropped. Visits are ordered by day; a
    member without visits is fine.

    Raises:
        InputError: `members[0].visits[2].date: is not a date; write it as
            "2023-01-05"`, and the like.

    Example:
        >>> (member,) = parse_members([{"sex": "F", "birth_date": "2012-04-03",
        ...     "index_date": "2023-06-30", "visits": [{"date": "2023-01-05",
        ...     "type": "OP", "codes": ["icd10cm:J45.40", "ICD10CM:J4540"]}]}])
        >>> member.visits
        (Visit(day=19362, type='OP', length=0, codes=('ICD10CM:J4540',), cost=0.0),)
    """
    if isinstance(members, Mapping | str | bytes) or not isinstance(members, Sequence):
        raise InputError("members must be a list of objects, one a member")
    parsed = [_member(value, f"members[{i}]") for i, value in enumerate(members)]
    clean = _canonical(c for m in parsed for v in m.visits for c in v.codes)
    return [
        Member(
            sex=member.sex,
            birth_day=member.birth_day,
            index_day=member.index_day,
            visits=tuple(
                Visit(
                    day=visit.day,
                    type=visit.type,
                    length=visit.length,
                    codes=tuple(
                        dict.fromkeys(
                            code
                            for code in (clean[given] for given in visit.codes)
                            if code is not None
                        )
                    ),
                    cost=visit.cost,
                )
                for visit in member.visits
            ),
        )
        for member in parsed
    ]


def _member(value: object, where: str) -> Member:
    fields = _object(value, where, _MEMBER_KEYS)
    sex = _required(fields, "sex", where)
    if sex not in SEXES:
        raise _fail(f"{where}.sex", f"must be one of {', '.join(SEXES)}")
    birth = _day(_required(fields, "birth_date", where), f"{where}.birth_date")
    index = _day(_required(fields, "index_date", where), f"{where}.index_date")
    if birth > index:
        raise _fail(f"{where}.birth_date", "lies after index_date")
    visits = fields.get("visits", [])
    if not isinstance(visits, Sequence) or isinstance(visits, str | bytes):
        raise _fail(
            f"{where}.visits", "must be a list of visits, empty if there is none"
        )
    parsed = (_visit(v, f"{where}.visits[{i}]", index) for i, v in enumerate(visits))
    return Member(sex, birth, index, tuple(sorted(parsed, key=lambda v: v.day)))


def read_members(path: str | Path) -> list[dict[str, Any]]:
    """Reads a JSON file with one member, a list of them, or `{"members": [...]}`.

    Raises:
        InputError: the file is missing or not such JSON; its content is checked by
            `parse_members`.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text") from error
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}, line {error.lineno}, column {error.colno}: not valid JSON: "
            f"{error.msg}"
        ) from error
    if isinstance(content, dict):
        content = content.get("members", [content])
    if not isinstance(content, list):
        raise InputError(f"{path}: must hold a member, or a list of members")
    return content


def _frame(members: Sequence[Member]) -> pl.DataFrame:
    """Labelled examples without a label; ids and enrolment are not known here."""
    visits = [member.visits for member in members]
    columns: dict[str, list[Any]] = {
        "patient_id": [""] * len(members),
        "sex": [m.sex for m in members],
        "birth_days": [m.birth_day for m in members],
        "institution": [""] * len(members),
        "enrolled_from": [[] for _ in members],
        "enrolled_to": [[] for _ in members],
        "visit_days": [[v.day for v in vs] for vs in visits],
        "visit_types": [[v.type for v in vs] for vs in visits],
        "visit_length": [[v.length for v in vs] for vs in visits],
        "codes": [[list(v.codes) for v in vs] for vs in visits],
        "cost": [[v.cost for v in vs] for vs in visits],
        "index_day": [m.index_day for m in members],
    }
    schema = pl.Schema({**records.TIMELINE_SCHEMA, "index_day": pl.Int64()})
    return pl.DataFrame(columns, schema=schema)


def to_examples(members: Sequence[Mapping[str, Any]]) -> list[bytes]:
    """Members as serialized tf.train.Example, for the signature `serving_default`.

    Raises:
        InputError: as `parse_members`.
    """
    return records.encode(_frame(parse_members(members)))


def _padded(rows: list[list[Any]], width: int, fill: object, dtype: Any) -> np.ndarray:
    array = np.full((len(rows), width), fill, dtype=dtype)
    for at, row in enumerate(rows):
        array[at, : len(row)] = row
    return array


def _predict_inputs(frame: pl.DataFrame) -> dict[str, np.ndarray]:
    codes = frame["codes"].to_list()
    # One padded visit and code stand for an empty history: JSON cannot write the
    # shape [1, 0, 0].
    visits = max([1, *(len(row) for row in codes)])
    width = max([1, *(len(visit) for row in codes for visit in row)])
    dense = np.full((len(codes), visits, width), "", dtype=object)
    for at, row in enumerate(codes):
        for i, visit in enumerate(row):
            dense[at, i, : len(visit)] = visit

    def column(name: str, fill: object, dtype: Any) -> np.ndarray:
        return _padded(frame[name].to_list(), visits, fill, dtype)

    def scalars(name: str, fill: object, dtype: Any) -> np.ndarray:
        known = frame[name] if name in frame.columns else pl.Series([None] * len(codes))
        return np.array([fill if v is None else v for v in known.to_list()], dtype)

    return {
        "codes": dense,
        "visit_days": column("visit_days", 0, np.int64),
        "visit_types": column("visit_types", "", object),
        "visit_length": column("visit_length", 0, np.int64),
        "cost": column("cost", 0.0, np.float32),
        "sex": scalars("sex", "U", object),
        "birth_days": scalars("birth_days", 0, np.int64),
        "index_day": scalars("index_day", UNKNOWN_INDEX_DAY, np.int64),
    }


def to_predict_inputs(members: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Members as the dense inputs of the signature `predict`.

    Returns:
        `codes` [B, V, C], `visit_days`, `visit_types`, `visit_length`, `cost` [B, V],
        `sex`, `birth_days`, `index_day` [B]; shorter histories are padded with ""
        and 0, V and C are at least 1.

    Raises:
        InputError: as `parse_members`.
    """
    return _predict_inputs(_frame(parse_members(members)))


def examples_to_predict_inputs(serialized: Sequence[bytes]) -> dict[str, np.ndarray]:
    """Serialized examples as the dense inputs of the signature `predict`.

    Raises:
        ArtifactError: the bytes are no patient records.
    """
    return _predict_inputs(records.decode(serialized))


def to_instances(members: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Members as the `instances` of a REST predict call, one object a member.

    Raises:
        InputError: as `parse_members`.

    Example:
        >>> to_instances([{"sex": "M", "birth_date": "2015-02-01",
        ...                "index_date": "2023-06-30"}])[0]["codes"]
        [['']]
    """
    columns = {name: a.tolist() for name, a in to_predict_inputs(members).items()}
    return [
        dict(zip(columns, row, strict=True))
        for row in zip(*columns.values(), strict=True)
    ]
