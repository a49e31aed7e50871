"""The command line: help, and errors without a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def claimpt(*args: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "claimpt_tf", *args], capture_output=True, text=True
    )


def test_help_lists_every_command() -> None:
    shown = claimpt("--help")
    assert shown.returncode == 0
    for name in (
        "cohort", "compare", "compile", "demo", "deploy", "evaluate", "finetune",
        "ingest", "predict", "pretrain", "promote", "rollback", "run", "score", "serve",
    ):  # fmt: skip
        assert f"\n  {name} " in shown.stdout


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--source", "tuva", "--task", "asthma_exacerbation"], "no-such-folder"),
        (["--source", "tuvo", "--task", "asthma_exacerbation"], "tuva"),
        (["--source", "tuva", "--task", "asthma_exacerbaton"], "asthma_exacerbation"),
    ],
)
def test_run_refuses_at_once(args: list[str], says: str, tmp_path: Path) -> None:
    done = claimpt(
        "run", *args, "--input", "no-such-folder", "--output", str(tmp_path / "run")
    )
    assert done.returncode == 2
    assert done.stderr.startswith("claimpt: ") and says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_run_on_an_empty_table_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "eligibility.csv").write_text("")
    (tmp_path / "medical_claim.csv").write_text("")
    done = claimpt(
        "run", "--source", "tuva", "--task", "asthma_exacerbation",
        "--input", str(tmp_path), "--output", str(tmp_path / "run"),
    )  # fmt: skip
    assert done.returncode == 2
    assert "eligibility.csv" in done.stderr and "empty" in done.stderr
    assert "Traceback" not in done.stderr


def test_simulate_refuses_nobody(tmp_path: Path) -> None:
    done = claimpt("simulate", str(tmp_path / "claims"), "--members", "0")
    assert done.returncode == 2
    assert done.stderr == "claimpt: members is 0: give at least 1\n"
