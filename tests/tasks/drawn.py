"""Members and tasks drawn by hypothesis: small, close in time, full of edges."""

from __future__ import annotations

from hypothesis import strategies as st

from claimpt_tf.tasks.spec import Task
from tests.tasks.members import Member, Visit, day

FIRST, LAST = day("2021-01-01"), day("2023-06-30")
CODES = ("ICD10CM:J4520", "ICD10CM:J4521", "HCPCS:99213")
TYPES = ("IP", "ED", "OP")
PATTERNS = st.sampled_from(["ICD10CM:J45", "ICD10CM:?45*1", "HCPCS:99213"])
CATEGORIES = st.sampled_from(["CCSR:RSP009", "CPT:99*"])
GAPS, WINDOWS, LOOKBACKS = (0, 1, 14), (1, 30), (1, 30, 90)
# Index dates of most tasks, and days at and beside the edges of what lies around them.
DATES = [day(text) for text in ("2022-01-01", "2022-03-01", "2022-07-01")]
EDGES = sorted(
    {gap + window for gap in GAPS for window in (*WINDOWS, 0)}
    | {-days for days in (*LOOKBACKS, 0)}
)


def days() -> st.SearchStrategy[int]:
    near = st.builds(
        lambda date, edge, off: date + edge + off,
        st.sampled_from(DATES),
        st.sampled_from(EDGES),
        st.sampled_from([0, 1, -1]),
    )
    return near | near | st.integers(FIRST, LAST)


def members(number: int) -> st.SearchStrategy[Member]:
    return st.builds(
        Member,
        visits=st.lists(visits(), max_size=12).map(in_order),
        enrolled=st.just(((FIRST, LAST),))
        | st.lists(days(), max_size=6, unique=True).map(spans),
        birth=st.sampled_from([None, day("2004-02-29"), day("2016-02-29")])
        | days().map(lambda one: one - 10 * 365 - 3),
        sex=st.sampled_from("FMFU"),
        institution=st.sampled_from("AAB"),
        id=st.just(f"{number * 0x1D3F5B79 % 2**32:08x}" * 4),
    )


def visits() -> st.SearchStrategy[Visit]:
    return st.builds(
        Visit,
        day=days(),
        type=st.sampled_from(TYPES),
        codes=st.lists(st.sampled_from(CODES), max_size=3, unique=True).map(tuple),
        length=st.sampled_from([0, 0, 0, 1, 2, 40]),
        cost=st.sampled_from([0.0, 10.5, 100.0, 2500.0]),
    )


def in_order(drawn: list[Visit]) -> tuple[Visit, ...]:
    return tuple(sorted(drawn, key=lambda visit: visit.day))


def spans(drawn: list[int]) -> tuple[tuple[int, int], ...]:
    """Spans from pairs of days in order; the last one may run to the end."""
    edges = sorted(drawn)
    if len(edges) % 2:
        edges.append(max(LAST, edges[-1]))
    return tuple(zip(edges[::2], edges[1::2], strict=True))


def people(most: int = 4) -> st.SearchStrategy[list[Member]]:
    return st.integers(0, most).flatmap(
        lambda count: st.tuples(*(members(number) for number in range(count))).map(list)
    )


def some(strategy: st.SearchStrategy, most: int = 2) -> st.SearchStrategy:
    return st.lists(strategy, min_size=1, max_size=most, unique=True)


def match() -> dict[str, st.SearchStrategy]:
    return {
        "codes": some(PATTERNS),
        "categories": some(CATEGORIES, most=1),
        "visit_types": some(st.sampled_from(TYPES)),
    }


@st.composite
def criteria(draw: st.DrawFn) -> dict:
    given = draw(st.fixed_dictionaries({}, optional=match()).filter(bool))
    count = draw(st.sampled_from([1, 1, 2]))
    if count > 1:
        given |= {"min_count": count, "min_days_apart": draw(st.sampled_from([0, 29]))}
    if draw(st.booleans()):
        given["within_days"] = draw(st.sampled_from(LOOKBACKS[1:]))
    return given


def indices() -> st.SearchStrategy[dict]:
    take = st.sampled_from(["all", "all", "first", "last", "random"])
    limits = {
        "since": st.sampled_from(["2021-07-01", "2022-01-01"]),
        "until": st.sampled_from(["2022-06-30", "2023-01-01"]),
        "take": take,
    }
    return st.one_of(
        st.fixed_dictionaries(
            {
                "kind": st.just("calendar"),
                "every": st.sampled_from(["month", "quarter", "half_year", "year"]),
                "at": st.sampled_from(["first_day", "last_day"]),
            },
            optional=limits,
        ),
        st.fixed_dictionaries(
            {
                "kind": st.just("fixed"),
                "date": st.sampled_from(["2022-01-01", "2022-07-01"]),
            },
            optional=limits,
        ),
        st.fixed_dictionaries(
            {
                "kind": st.just("each_visit"),
                "visit": st.fixed_dictionaries({}, optional=match()),
            },
            optional=limits,
        ),
        st.fixed_dictionaries({"kind": st.just("birthday")}, optional=limits),
        st.fixed_dictionaries(
            {
                "kind": st.just("first_diagnosis"),
                "visit": st.fixed_dictionaries(
                    {"codes": some(PATTERNS)},
                    optional={"visit_types": match()["visit_types"]},
                ),
            },
            optional=limits,
        ),
    )


def outcomes() -> st.SearchStrategy[dict]:
    counted = st.fixed_dictionaries({}, optional=match()).filter(bool)
    return st.one_of(
        counted,
        st.builds(
            lambda given, n: given | {"min_count": n}, counted, st.integers(1, 3)
        ),
        st.fixed_dictionaries(
            {"min_cost": st.sampled_from([10.5, 111.0, 2500.0])}, optional=match()
        ),
        st.fixed_dictionaries({"kind": st.just("next_visit")}, optional=match()),
    )


def tasks(censored: bool = True) -> st.SearchStrategy[Task]:
    censoring = st.just({"require_enrolled_to_end": False})
    if censored:
        censoring |= st.fixed_dictionaries({"keep_if_outcome": st.booleans()})
    censoring = st.builds(
        lambda given, drop: given | {"drop_if_in_gap": drop}, censoring, st.booleans()
    )
    ages = st.tuples(st.integers(0, 10), st.integers(10, 20))
    return st.fixed_dictionaries(
        {
            "name": st.just("drawn"),
            "index": indices(),
            "outcome": outcomes(),
            "window_days": st.sampled_from(WINDOWS),
            "censoring": censoring,
            "population": st.fixed_dictionaries(
                {},
                optional={
                    "ages": ages.map(lambda pair: {"min": pair[0], "max": pair[1]}),
                    "sexes": st.just(["F", "M"]),
                    "institutions": st.just(["A"]),
                    "enrolled_days": st.sampled_from((0, *LOOKBACKS)),
                    "require": st.lists(criteria(), max_size=1),
                },
            ),
        },
        optional={
            "gap_days": st.sampled_from(GAPS),
            "washout_days": st.sampled_from(LOOKBACKS),
            "exclusions": st.lists(criteria(), max_size=1),
            "lookback_days": st.sampled_from(LOOKBACKS),
        },
    ).map(consistent)


def consistent(given: dict) -> Task:
    """Fields that exclude each other are dropped from what was drawn."""
    if not given.get("gap_days"):
        given = {**given, "censoring": {**given["censoring"], "drop_if_in_gap": False}}
    if given["outcome"].get("kind") == "next_visit":
        given = {name: value for name, value in given.items() if name != "washout_days"}
    return Task.model_validate(given)
