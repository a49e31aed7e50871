"""Kept claim lines -> visits: which line belongs to which visit."""

from __future__ import annotations

import polars as pl

from claimpt_tf.claims.events import SETTINGS
from claimpt_tf.visits.rules import VisitRules

# A setting is known by its place in SETTINGS, which is its order of precedence.
IP, ED, OP, RX, OTHER = range(len(SETTINGS))

_CLAIM = ["who", "table", "claim"]
_DAY_BITS = 24  # days since 1970 stay far within +-2**23
_FIRST_WHOLE = 2**30  # above all anchors that are days or numbers of claims


def group_lines(
    lines: pl.DataFrame, rules: VisitRules
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Puts each line into a visit.

    Args:
      lines: Kept lines with `who`, `table`, `claim`, `encounter`, `day`, `end_day`,
        `setting` (Int8, place in SETTINGS, null for that of its encounter) and `cents`.
      rules: The choices.

    Returns:
      The lines, in their order, with `visit`, the number of their visit; and the
      visits, one row each in the order of that number: `who`, `setting`, `day`,
      `end_day`, `cents`, sorted by member, first day, setting and last day.
    """
    lines = _of_encounters(lines)
    if rules.encounters == "keep":
        kept = pl.col("encounter").is_not_null()
        lines = lines.with_row_index("place")
        whole, parts = lines.filter(kept), lines.filter(~kept)
        lines = pl.concat([_whole(whole), _merged(parts, rules)]).sort("place")
        lines = lines.drop("place")
    else:
        lines = _merged(lines, rules)
    key = (pl.col("who").cast(pl.Int64) * 8 + pl.col("setting")) * 2**32 + (
        pl.col("anchor").cast(pl.Int64) + 2**31
    )
    lines = lines.with_columns(key=key)
    visits = (
        lines.group_by("key")
        .agg(
            pl.col("who", "setting", "anchor").first(),
            pl.col("day").min(),
            pl.col("end_day").max(),
            pl.col("cents").sum(),
        )
        .sort("who", "day", "setting", "end_day", "anchor")
        .with_row_index("visit")
    )
    lines = lines.join(
        visits.select("key", "visit"), on="key", how="left", maintain_order="left"
    )
    return (
        lines.drop("key", "anchor"),
        visits.select("who", "setting", "day", "end_day", "cents"),
    )


def _merged(lines: pl.DataFrame, rules: VisitRules) -> pl.DataFrame:
    """Adds `anchor`, by the rules for claims, and last days and settings they give."""
    lines = _anchored(_claims_of_one_setting(lines), rules)
    return _linked_fills(lines) if rules.link_pharmacy else lines


def _whole(lines: pl.DataFrame) -> pl.DataFrame:
    """Adds `anchor` so that each encounter is one visit, of its strongest setting."""
    return lines.with_columns(
        pl.col("setting").min().over(*_CLAIM),
        anchor=_FIRST_WHOLE + pl.col("claim").rank("dense").cast(pl.Int32),
    )


def _of_encounters(lines: pl.DataFrame) -> pl.DataFrame:
    """Lines of an encounter that the source names are one claim, whatever their table.

    A line without a setting takes that of its encounter (or claim), the strongest
    where there are several, unless it lies more than a day away from it; then, and
    without any, it is outpatient.
    """
    if lines["encounter"].null_count() < len(lines):
        named = pl.col("encounter").is_not_null()
        lines = lines.with_columns(
            claim=pl.coalesce("encounter", "claim"),
            table=pl.when(named).then(pl.lit("")).otherwise("table"),
        )
    if not lines["setting"].null_count():
        return lines
    kinds = (
        lines.filter(pl.col("setting") != RX)  # null is not
        .group_by(_CLAIM)
        .agg(
            kind=pl.col("setting").min(),
            first=pl.col("day").min() - 1,
            last=pl.col("end_day").max() + 1,
        )
    )
    near = pl.col("day").is_between("first", "last")
    return (
        lines.join(kinds, on=_CLAIM, how="left", maintain_order="left")
        .with_columns(
            pl.coalesce("setting", pl.when(near).then("kind"), pl.lit(OP, pl.Int8))
        )
        .drop("kind", "first", "last")
    )


def _claims_of_one_setting(lines: pl.DataFrame) -> pl.DataFrame:
    """Gives the lines of an inpatient or emergency claim one setting.

    Lines more than a day away from the claim's inpatient (emergency) lines keep
    theirs: a month's bill may mention one emergency visit.
    """
    strong = (
        lines.filter(pl.col("setting") <= ED)
        .group_by(_CLAIM)
        .agg(
            strongest=pl.col("setting").min(),
            first=pl.col("day").min() - 1,
            last=pl.col("end_day").max() + 1,
        )
    )
    own = pl.col("setting")
    near = pl.col("day").is_between("first", "last") & (pl.col("setting") != RX)
    return (
        lines.join(strong, on=_CLAIM, how="left", maintain_order="left")
        .with_columns(
            setting=pl.when(near)
            .then(pl.min_horizontal(own, "strongest"))
            .otherwise(own),
            # A fill is a moment, however many days it supplies.
            end_day=pl.when(pl.col("setting") == RX).then("day").otherwise("end_day"),
        )
        .drop("strongest", "first", "last")
    )


def _anchored(lines: pl.DataFrame, rules: VisitRules) -> pl.DataFrame:
    """Adds `anchor`: lines of equal member, setting and anchor are one visit."""
    stays = _spans(lines, IP, rules.inpatient_gap_days)
    arrivals = _admitted(_spans(lines, ED, 0), stays, rules)
    place = lines.select(_place("day")).to_series()
    lines = lines.with_columns(
        stay=_last_at_or_before(stays, place),
        arrival=pl.when(pl.col("setting") == ED).then(
            _last_at_or_before(arrivals, place)
        ),
    ).join(
        arrivals.select("arrival", "admitted_to"),
        on="arrival",
        how="left",
        maintain_order="left",
    )
    other = pl.col("day")
    if rules.outpatient == "claim":
        claim = pl.struct("table", "claim").rank("dense").cast(pl.Int32)
        other = pl.when(pl.col("setting") == RX).then("day").otherwise(claim)
    setting, admitted = pl.col("setting"), pl.col("admitted_to").is_not_null()
    return lines.with_columns(
        anchor=pl.when(setting == IP)
        .then("stay")
        .when(admitted)
        .then("admitted_to")
        .when(setting == ED)
        .then("arrival")
        .otherwise(other),
        setting=pl.when(admitted).then(pl.lit(IP, pl.Int8)).otherwise("setting"),
    ).drop("stay", "arrival", "admitted_to")


def _spans(lines: pl.DataFrame, setting: int, gap_days: int) -> pl.DataFrame:
    """The claims of a setting merged into disjoint spans of days.

    Claims of a member merge when one starts at most `gap_days` after the other
    ends. Returns `who`, `day`, `end_day` and `place`, sorted by `place`.
    """
    claims = (
        lines.filter(pl.col("setting") == setting)
        .group_by(_CLAIM)
        .agg(pl.col("day").min(), pl.col("end_day").max())
        .sort("who", "day", "end_day")
    )
    reached = pl.col("end_day").cum_max().shift().over("who")
    starts = (pl.col("day") > reached + gap_days).fill_null(True)
    return (
        claims.with_columns(span=starts.cum_sum())
        .group_by("span", maintain_order=True)
        .agg(pl.col("who", "day").first(), pl.col("end_day").max())
        .with_columns(place=_place("day"))
    )


def _admitted(
    arrivals: pl.DataFrame, stays: pl.DataFrame, rules: VisitRules
) -> pl.DataFrame:
    """Adds `arrival` (own number) and `admitted_to` (number of a stay, or null).

    An emergency visit belongs to a stay when it ends at most
    `ed_before_admission_days` before the stay begins, or starts during it. One that
    starts on the day of discharge is a return, unless that is also the day of
    admission.
    """
    stay = stays.with_row_index("admitted_to").select(
        pl.col("admitted_to").cast(pl.Int32),
        stay_who="who",
        stay_until=pl.max_horizontal("end_day", pl.col("day") + 1),
    )
    latest = arrivals.select(
        _place("end_day") + rules.ed_before_admission_days
    ).to_series()
    return (
        arrivals.with_row_index("arrival")
        .with_columns(
            pl.col("arrival").cast(pl.Int32),
            admitted_to=_last_at_or_before(stays, latest),
        )
        .join(stay, on="admitted_to", how="left", maintain_order="left")
        .with_columns(
            admitted_to=pl.when(
                (pl.col("stay_who") == pl.col("who"))
                & (pl.col("day") < pl.col("stay_until"))
            ).then("admitted_to")
        )
    )


def _linked_fills(lines: pl.DataFrame) -> pl.DataFrame:
    """Moves fills into the visit of their day.

    That is the latest stay that covers the day, else the visit of another kind that
    starts on it (emergency before outpatient before other), else a pharmacy visit.
    """
    fill = pl.col("setting") == RX
    visits = (
        lines.filter(~fill)
        .group_by("who", "setting", "anchor")
        .agg(pl.col("day").min(), pl.col("end_day").max())
        .sort("who", "day", "setting", "end_day", "anchor")
    )
    in_stay = (
        lines.filter(fill)
        .select("who", filled="day")
        .unique()
        .join(visits.filter(pl.col("setting") == IP), on="who")
        .filter(pl.col("filled").is_between("day", "end_day"))
        .sort("who", "filled", "day", "end_day", "anchor")
        .unique(["who", "filled"], keep="last")
    )
    same_day = visits.rename({"day": "filled"}).unique(
        ["who", "filled"], keep="first", maintain_order=True
    )
    visit = ["who", "filled", "setting", "anchor"]
    linked = pl.concat([in_stay.select(visit), same_day.select(visit)]).unique(
        ["who", "filled"], keep="first", maintain_order=True
    )
    target = lines.select("who", filled=pl.when(fill).then("day")).join(
        linked, on=["who", "filled"], how="left", maintain_order="left"
    )
    return lines.with_columns(
        setting=target["setting"].zip_with(
            target["setting"].is_not_null(), lines["setting"]
        ),
        anchor=target["anchor"].zip_with(
            target["anchor"].is_not_null(), lines["anchor"]
        ),
    )


def _place(day: str) -> pl.Expr:
    """Member and day as one Int64 that sorts by member, then day."""
    return pl.col("who").cast(pl.Int64) * 2**_DAY_BITS + (
        pl.col(day).cast(pl.Int64) + 2 ** (_DAY_BITS - 1)
    )


def _last_at_or_before(spans: pl.DataFrame, places: pl.Series) -> pl.Series:
    """The number (Int32) of the last span that begins at or before each place."""
    found = spans["place"].search_sorted(places, side="right").cast(pl.Int32) - 1
    return pl.select(pl.when(found >= 0).then(found)).to_series()
