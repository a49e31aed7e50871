"""One simulated population and one pipeline run that the tests share."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from claimpt_tf.claims.simulator.config import SimulationConfig
from claimpt_tf.claims.simulator.simulate import simulate
from claimpt_tf.claims.simulator.write import write_simulation
from pipeline.configs import RunConfig
from pipeline.demo import run_demo
from pipeline.local_runner import RunResult, find_true_risk
from pipeline.options import build_config

FIRST_NAME, LAST_NAME = "Trillian", "Beeblebrox"  # in a column that no rule reads


@pytest.fixture(scope="session")
def claims(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,500 simulated children, three years."""
    folder = tmp_path_factory.mktemp("simulated") / "claims"
    write_simulation(simulate(SimulationConfig(1500, 3, 11)), folder)
    eligibility = folder / "eligibility.parquet"
    named = pl.read_parquet(eligibility).with_columns(
        first_name=pl.lit(FIRST_NAME), last_name=pl.lit(LAST_NAME)
    )
    named.write_parquet(eligibility)
    return folder


def small_config(
    claims: Path, tasks: tuple[str, ...] = ("asthma_exacerbation",), **changes: object
) -> RunConfig:
    """A run that trains a tiny network for an epoch, with a gate that it can pass."""
    config = build_config(
        str(claims), "tuva", tasks, "tiny", 1, 7, 0.0, True, "", (), None,
        find_true_risk(str(claims)),
    )  # fmt: skip
    finetune = config.finetune.model_copy(update={"epochs": 1})
    return config.model_copy(
        update={
            "finetune": finetune,
            "replicates": 100,
            "min_group_auroc": 0.0,
            "max_behind_counts": 1.0,
            "min_events": 2,
            **changes,
        }
    )


@dataclass(frozen=True)
class Run:
    """A finished demo: the pipeline, and one prediction over HTTP.

    Attributes:
      claims: Folder of the claims.
      folder: Folder of the run.
      result: What came out.
      screen: What a person saw.
    """

    claims: Path
    folder: Path
    result: RunResult
    screen: str


@pytest.fixture(scope="session")
def run(claims: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """`claimpt demo` but for the simulation, once."""
    folder = tmp_path_factory.mktemp("run")
    console = Console(file=io.StringIO(), width=100, highlight=False)
    result = run_demo(small_config(claims), folder, console)
    return Run(claims, folder, result, console.file.getvalue())
