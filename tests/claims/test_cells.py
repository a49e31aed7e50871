"""Dates and amounts in whatever type and spelling files give them."""

from __future__ import annotations

import datetime
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claimpt_tf.claims import cells
from claimpt_tf.errors import InputError

MARCH_7 = (datetime.date(2019, 3, 7) - cells.EPOCH).days


@pytest.mark.parametrize(
    "spelt",
    [
        "2019-03-07",
        " 2019-03-07 ",
        "20190307",
        "03/07/2019",
        "3/7/2019",
        "2019-03-07 00:00:00",
        "2019-03-07T23:59:59.999Z",
        "2019-03-07 08:00:01+00:00",
        "3/7/2019 12:00:00 AM",
        "20190307 00:00",
    ],
)
def test_spellings_of_a_date(spelt: str) -> None:
    assert cells.days(pl.Series([spelt])).to_list() == [MARCH_7]


@pytest.mark.parametrize(
    "spelt",
    ["", "soon", "2019-13-01", "2019-02-30", "13/40/2019", "3/7/19", "0001-01-01"]
    + ["2019", "201903", "20190307x", "1899-99-99", "99999999", "2019-03-07 or so"],
)
def test_what_is_no_date(spelt: str) -> None:
    assert cells.days(pl.Series([spelt])).to_list() == [None]


def test_mixed_spellings_in_one_column() -> None:
    column = pl.Series(["2019-03-07", None, "20190307", "03/07/2019", "never"])
    assert cells.days(column).to_list() == [MARCH_7, None, MARCH_7, MARCH_7, None]


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([datetime.date(2019, 3, 7)]),
        pl.Series([datetime.datetime(2019, 3, 7, 23, 59)]),
        pl.Series([datetime.datetime(2019, 3, 7)]).cast(pl.Datetime("ns")),
        pl.Series([20190307]),
        pl.Series([20190307.0]),
    ],
)
def test_typed_dates(column: pl.Series) -> None:
    assert cells.days(column).to_list() == [MARCH_7]


@given(st.lists(st.dates(datetime.date(1850, 1, 1), datetime.date(9999, 12, 31))))
def test_every_day_reads_back(dates: list[datetime.date]) -> None:
    expected = [(date - cells.EPOCH).days for date in dates]
    for spelling in ("%Y-%m-%d", "%Y%m%d", "%m/%d/%Y"):
        column = pl.Series([date.strftime(spelling) for date in dates], dtype=pl.String)
        assert cells.days(column).to_list() == expected


@given(st.lists(st.one_of(st.none(), st.text())))
def test_any_text_is_a_date_or_null(values: list[str | None]) -> None:
    days = cells.days(pl.Series(values, dtype=pl.String))
    assert len(days) == len(values)
    assert days.dtype == pl.Int32


@given(st.lists(st.one_of(st.none(), st.text())))
def test_any_text_is_an_amount_or_null(values: list[str | None]) -> None:
    amounts = cells.amounts(pl.Series(values, dtype=pl.String))
    assert len(amounts) == len(values)
    assert amounts.is_finite().all()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("12", 12.0),
        (" 12.50 ", 12.5),
        ("$1,234.50", 1234.5),
        ("(3.00)", -3.0),
        ("-3.00", -3.0),
        ("", None),
        ("n/a", None),
        ("inf", None),
        ("nan", None),
    ],
)
def test_amounts(given: str, expected: float | None) -> None:
    assert cells.amounts(pl.Series([given])).to_list() == [expected]


def test_typed_amounts() -> None:
    assert cells.amounts(pl.Series([Decimal("1.25")])).to_list() == [1.25]
    assert cells.amounts(pl.Series([3, None])).to_list() == [3.0, None]


def test_ids_are_the_same_text_from_any_type() -> None:
    for column in (
        pl.Series([" 7 "]),
        pl.Series([7]),
        pl.Series([7.0]),
        pl.Series(["7"], dtype=pl.Categorical),
    ):
        assert cells.text(column).to_list() == ["7"]
    assert cells.text(pl.Series([None, None])).to_list() == [None, None]
    assert cells.text(pl.Series(["007"])).to_list() == ["007"]


def test_today_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAIMPT_TODAY", "2019-03-07")
    assert cells.today() == MARCH_7
    monkeypatch.delenv("CLAIMPT_TODAY")
    assert cells.today() == (datetime.date.today() - cells.EPOCH).days
    monkeypatch.setenv("CLAIMPT_TODAY", "tomorrow")
    with pytest.raises(InputError, match="CLAIMPT_TODAY is not a date"):
        cells.today()
