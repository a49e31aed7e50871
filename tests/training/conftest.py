"""Records of a few simulated children, and a run that was pre-trained on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from claimpt_tf.claims.simulator.config import SimulationConfig
from claimpt_tf.claims.simulator.simulate import simulate
from claimpt_tf.claims.simulator.write import write_simulation
from claimpt_tf.training.choices import PretrainConfig
from claimpt_tf.visits.ingest import ingest

CONFIG = PretrainConfig(preset="tiny", epochs=2, batch_size=4, seed=0)


@pytest.fixture(scope="session")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pretrain")
    write_simulation(simulate(SimulationConfig(220, 2, 3)), str(folder / "claims"))
    ingest("tuva", str(folder / "claims"), str(folder / "records"), shards=1)
    return folder / "records"


@pytest.fixture(scope="session")
def whole(records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted."""
    run = tmp_path_factory.mktemp("whole") / "run"
    from claimpt_tf.training.pretrain_run import pretrain_run

    pretrain_run(str(records), str(run), CONFIG)
    return run
