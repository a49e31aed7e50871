"""What every test shares: a quiet CPU-only TensorFlow, a key, the open data."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadFileScheduling

# How long an example takes says more of what else runs on the machine.
hypothesis.settings.register_profile("claimpt", deadline=None)
hypothesis.settings.load_profile("claimpt")

REPOSITORY = Path(__file__).resolve().parent.parent

# TensorFlow and Keras read these once, when they are first imported; test
# processes pass them on to the commands they start.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "agg")

# Files that share a session's fixture, which only one process should make.
SHARED = (
    ("tests/pipeline/test_end_to_end.py", "tests/pipeline/test_evaluated_run.py"),
    (
        "tests/training/test_pretrain_run.py",
        "tests/training/test_finetune_run.py",
        "tests/training/test_distributed.py",
    ),
)
# Begun first, so that no process has minutes to do when the other is done.
LONGEST = (*SHARED[0], *SHARED[1], "tests/serving/test_export.py")
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

    def place(item: pytest.Item) -> tuple[bool, int]:
        slow = item.get_closest_marker("slow") is not None
        found = (at for at, name in enumerate(LONGEST) if item.nodeid.startswith(name))
        return slow, next(found, len(LONGEST))

    items.sort(key=place)


class _ByFile(LoadFileScheduling):
    """A file at a time, and what shares a fixture together."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return next((files[0] for files in SHARED if file in files), file)


@pytest.hookimpl(optionalhook=True)  # without xdist there is one process
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByFile:
    """Used whenever there are several test processes."""
    return _ByFile(config, log)


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
