"""The reports in docs/: self-contained, marked as synthetic, without ids or paths."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPORTS = Path(__file__).resolve().parents[2] / "docs" / "reports"
PAGES = sorted(REPORTS.glob("*.html"))
MARK = "Synthetic data."


def test_there_is_a_card_beside_each_page() -> None:
    assert [page.stem for page in PAGES] == sorted(
        card.name.removesuffix(".md") for card in REPORTS.glob("*.md")
    )
    assert len(PAGES) >= 3


@pytest.mark.parametrize("file", sorted(REPORTS.iterdir()), ids=lambda file: file.name)
def test_it_tells_no_id_and_no_path(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert MARK in text
    assert len(text) < 1_500_000
    without_links = re.sub(r"https?://[\w./-]+", "", text)
    assert not re.search(r"(?<![\w.<])/(tmp|home|work|root|usr|var)/", without_links)
    assert not re.search(r"\b[0-9a-f]{32,}\b", text)
    assert not re.search(r"(src|href)=\"(?!#|data:)", text)
