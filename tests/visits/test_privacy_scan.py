"""Everything that an ingest wrote and said, searched for a person."""

from __future__ import annotations

import datetime
import gzip
import logging
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from claimpt_tf.claims.cells import EPOCH
from claimpt_tf.claims.privacy import day_shifts, hash_members, load_key
from claimpt_tf.cli import cli
from claimpt_tf.visits.records import decode, read_records
from tests.claims.tuva_folder import TuvaFolder

ID, FIRST, LAST = "Zaphod-0042-B", "Trillian", "Beeblebrox"
BORN = datetime.date(2010, 5, 16)
BORN_SPELLINGS = [
    BORN.strftime(spelling)
    for spelling in (
        "%Y-%m-%d", "%Y%m%d", "%m/%d/%Y", "%d.%m.%Y", "%d/%m/%Y", "%B %d, %Y", "%d%b%Y",
        "%Y/%m/%d",
    )
]  # fmt: skip
PLANTED = [ID, FIRST, LAST, *BORN_SPELLINGS]


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    """Good and bad rows of one person, some of them told in the wrong columns."""
    folder = TuvaFolder(tmp_path / "claims")
    person = {"person_id": ID, "member_id": ID}
    folder.write(
        "eligibility",
        {**person, "birth_date": str(BORN), "race": "White"},
        {**person, "birth_date": "16.05.2010"},
        {**person, "enrollment_start_date": f"{FIRST} {LAST}"},
        {**person, "enrollment_end_date": "1999-01-01"},
    )
    folder.write(
        "medical_claim",
        {**person, "claim_id": "C1"},
        {**person, "claim_id": "C2", "claim_start_date": "soon", "claim_end_date": ""},
        {**person, "claim_id": "C3", "paid_amount": f"of {LAST}"},
        {**person, "claim_id": "C4", "claim_start_date": "2001-01-01"},
        {**person, "claim_id": "C5", "claim_start_date": str(BORN)},
        {"person_id": f"{ID}?", "member_id": f"{ID}?", "claim_id": "C6"},
    )
    path = folder.path / "eligibility.csv"
    header, *rows = path.read_text().splitlines()
    named = [f"{header},first_name,last_name", *(f"{r},{FIRST},{LAST}" for r in rows)]
    malformed = f"{ID},{LAST},{BORN}"
    path.write_text("\n".join([*named, malformed]) + "\n")
    folder.write("pharmacy_claim", {**person, "claim_id": "R1"})
    return folder.path


def ingest(claims: Path, output: Path, *more: str) -> str:
    """Runs the command; all that it said."""
    done = CliRunner().invoke(
        cli,
        ["ingest", "--source", "tuva", "--input", str(claims), "--output", str(output),
         "--max-quarantined", "1", *more],
        catch_exceptions=False,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return done.output


def contents(folder: Path) -> dict[str, bytes]:
    """Each file as it is, and as whoever opens it would see it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            if content[:2] == b"\x1f\x8b":
                content += gzip.decompress(content)
            if content[:4] == b"PAR1":
                content += pl.read_parquet(path).write_csv().encode()
            found[str(path.relative_to(folder))] = content + path.name.encode()
    return found


@pytest.mark.parametrize("more", [(), ("--shift-dates",)], ids=["plain", "shifted"])
def test_nothing_written_or_said_tells_who_it_is_about(
    claims: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, more: tuple[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    output = tmp_path / "records"
    said = ingest(claims, output, *more)
    written = contents(output)
    assert "quarantine/medical_claim.parquet" in written
    everything = {**written, "screen": said.encode(), "log": caplog.text.encode()}
    found = [
        (where, planted)
        for where, content in everything.items()
        for planted in PLANTED
        if planted.lower().encode() in content.lower()
    ]
    assert found == []
    key = load_key()
    assert all(key not in content for content in everything.values())
    (born,) = {
        row["birth_days"]
        for row in decode(
            list(read_records(sorted(output.glob("Split-*/*"))))
        ).to_dicts()
    }
    assert (born == (BORN - EPOCH).days) is not bool(more)


def test_shifted_dates_keep_every_interval(claims: Path, tmp_path: Path) -> None:
    plain, moved = tmp_path / "plain", tmp_path / "moved"
    ingest(claims, plain)
    ingest(claims, moved, "--shift-dates")
    before, after = (
        decode(list(read_records(sorted(folder.glob("Split-*/*")))))
        for folder in (plain, moved)
    )
    shift = day_shifts(hash_members(pl.Series([ID]), load_key()), load_key()).item()
    assert -365 <= shift < 0
    days = ["birth_days", "visit_days", "enrolled_from", "enrolled_to"]
    assert after.select(days).rows() == [
        tuple(
            [day + shift for day in cell] if isinstance(cell, list) else cell + shift
            for cell in row
        )
        for row in before.select(days).rows()
    ]
    rest = pl.exclude(days)
    assert after.select(rest).equals(before.select(rest))
    again = tmp_path / "again"
    ingest(claims, again, "--shift-dates")
    assert contents(again).keys() == contents(moved).keys()
    for name, content in contents(again).items():
        if name != "summary.json":  # it tells the seconds
            assert content == contents(moved)[name], name
