"""Inputs that tests of readers share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.claims.tuva_folder import DEFAULTS, TuvaFolder


@pytest.fixture
def tuva_folder(tmp_path: Path) -> TuvaFolder:
    """A folder with the three tables, one good row each."""
    folder = TuvaFolder(tmp_path / "input")
    for table in DEFAULTS:
        folder.write(table, {})
    return folder
