"""The reader that docs/sources.md shows works as it stands there."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from claimpt_tf.claims import readers
from claimpt_tf.claims.events import ARROW_EVENTS, ARROW_MEMBERS
from claimpt_tf.claims.preflight import check_input
from claimpt_tf.claims.quarantine import REASONS
from claimpt_tf.claims.readers.registry import reader_for, reader_names
from tests.claims.reading import read_all

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "sources.md"


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the documented reader, added by its one file."""
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    folder = tmp_path / "readers"
    folder.mkdir()
    (folder / "acme.py").write_text(code)
    monkeypatch.setattr(readers, "__path__", [*readers.__path__, str(folder)])
    monkeypatch.delitem(sys.modules, f"{readers.__name__}.acme", raising=False)
    return "acme"


def test_a_reader_is_one_file(acme: str, tmp_path: Path) -> None:
    folder = tmp_path / "input"
    folder.mkdir()
    (folder / "services.csv").write_text(
        "Member,Date,Claim,ICD,Paid\n"
        "A,2020-01-05,1,j45.901,10\n"
        "A,soon,2,I10,10\n"
        "B,2020-01-07,,I10,ten\n"
    )
    (folder / "members.csv").write_text(
        "member,born,sex,first,last\nA,2010-02-03,F,2020-01-01,2020-12-31\n"
    )
    assert acme in reader_names()
    assert len(check_input(acme, str(folder)).tables) == 2
    got = read_all(reader_for(acme), folder)
    assert got.events.select("row", "system", "code", "amount").rows() == [
        (1, "ICD10CM", "J45901", 10.0),
        (3, "ICD10CM", "I10", 0.0),
    ]
    assert got.members.select("sex", "enrolled_from").rows() == [("F", 18262)]
    assert [(row, reason) for _, row, reason, _ in got.reasons()] == [
        (2, "date_unparsable"),
        (3, "claim_missing"),
        (3, "amount_unparsable"),
    ]


def test_every_reader_is_documented() -> None:
    text = DOCUMENT.read_text()
    for name in reader_names():
        assert f"[`{name}`](#{name})" in text
        reader = reader_for(name)
        for table in getattr(reader, "tables", ()):
            for column in table.columns:
                shown = re.sub(r"_\d+$", "", column.name)
                assert shown in text, f"{table.name}.{column.name}"


def test_the_canonical_tables_are_documented() -> None:
    text = DOCUMENT.read_text()
    for name in (*ARROW_EVENTS.names, *ARROW_MEMBERS.names):
        assert f"`{name}`" in text, name


def test_every_reason_of_a_reader_is_documented() -> None:
    text = DOCUMENT.read_text()
    source = Path(readers.__path__[0]).parent
    code = "".join(path.read_text() for path in source.glob("*.py"))
    code += "".join(path.read_text() for path in source.glob("readers/*.py"))
    used = {
        reason
        for reason in REASONS
        if f'"{reason}"' in code.replace(f'"{reason}":', "")
    }
    assert {"row_malformed", "not_covered", "claim_missing"} <= used
    for reason in used:
        assert f"`{reason}`" in text, reason
