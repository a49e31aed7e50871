"""What every test shares: a quiet CPU-only TensorFlow, a key, the open data."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

# TensorFlow and Keras read these once, when they are first imported; test
# processes pass them on to the commands they start.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "agg")

_SETTINGS = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Gives the run one member key of its own: the same splits on every machine."""
    folder = Path(tempfile.mkdtemp(prefix="claimpt-tests-"))
    config.stash[_SETTINGS] = folder
    key_file = folder / "member.key"
    key_file.write_text("a key that only the tests use", encoding="utf-8")
    key_file.chmod(0o600)
    os.environ.pop("CLAIMPT_KEY", None)
    os.environ["CLAIMPT_KEY_FILE"] = str(key_file)
    # Where a key would be generated: never the home of who runs the tests.
    os.environ["XDG_CONFIG_HOME"] = str(folder / "config")


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[_SETTINGS], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first, so that a broken rule shows before a pipeline is trained."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(scope="session")
def open_data() -> Path:
    """The folder of open claims data, which is not part of the project."""
    named = os.environ.get("CLAIMPT_OPEN_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(
            f"no open data in {folder}: set CLAIMPT_OPEN_DATA to a folder that holds "
            "synpuf/, omop_gibleed/, synthea/ and tuva/"
        )
    return folder
