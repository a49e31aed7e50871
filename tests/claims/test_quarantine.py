"""Quarantined rows: written, counted, shown."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl
from rich.console import Console

from claimpt_tf.claims.events import QUARANTINE_SCHEMA
from claimpt_tf.claims.quarantine import (
    REASONS,
    count_reasons,
    dropped_rows,
    is_dropped,
    quarantine_rows,
    reasons_table,
    write_quarantine,
)

BAD = quarantine_rows(pl.Series([3, 8]), "m.csv", "medical_claim", "date_missing", "d")
NOTED = quarantine_rows(pl.Series([4]), "m.csv", "medical_claim", "amount_unparsable")
BOTH = pl.concat([NOTED, BAD])


def test_rows_follow_the_schema() -> None:
    assert BAD.schema == QUARANTINE_SCHEMA
    assert BAD.rows()[0] == ("m.csv", 3, "medical_claim", "date_missing", "d")


def test_notes_are_no_dropped_rows() -> None:
    assert dropped_rows(BOTH).equals(BAD)
    assert not is_dropped("amount_unparsable")
    assert is_dropped("a reason of someone else's reader")


def test_counts_and_screen() -> None:
    counts = count_reasons([BOTH, BAD])
    assert counts == {
        ("medical_claim", "date_missing"): 4,
        ("medical_claim", "amount_unparsable"): 1,
    }
    assert count_reasons([]) == {}
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(reasons_table({**counts, ("x", "odd"): 1}))
    shown = console.export_text()
    assert "no date of service or enrolment (date_missing)" in shown
    assert "left out" in shown and "used" in shown and "odd" in shown


def test_shards(tmp_path: Path) -> None:
    folder = tmp_path / "quarantine"
    assert write_quarantine(BOTH.clear(), str(folder), "0") is None
    assert not folder.exists()
    path = write_quarantine(BOTH, str(folder), "00003-of-00008")
    assert path is not None
    assert [entry.name for entry in folder.iterdir()] == [path.name]
    assert path.name == "quarantine-00003-of-00008.parquet"
    assert pl.read_parquet(path).equals(BOTH)


def test_every_reason_is_a_short_word_with_a_text() -> None:
    for reason, meaning in REASONS.items():
        assert reason.replace("_", "").isalpha() and reason.islower()
        assert meaning.text
