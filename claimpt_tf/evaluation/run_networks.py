"""Networks on the members of a fine-tuned run: its own, and its rivals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from claimpt_tf.errors import ArtifactError, ClaimPTError
from claimpt_tf.evaluation.finetuned_run import FinetunedRun
from claimpt_tf.evaluation.network_learner import SAME, NetworkLearner
from claimpt_tf.evaluation.weighted import Floats
from claimpt_tf.tasks.unlabelled import UNLABELLED
from claimpt_tf.training.choices import FinetuneConfig
from claimpt_tf.training.finetune_run import COHORT_FOLDER

SCRATCH: Final = "the same network, not pre-trained"
GRU: Final = "GRU on the same visits, not pre-trained"
PAPER: Final = "the paper's network and recipe"
# Flat Adam at 1e-4 and 20 epochs: the published notebooks'.
PUBLISHED: Final = FinetuneConfig(
    recipe="labels", layer_decay=1.0, learning_rate=1e-4, epochs=20, patience=20
)


def network_of(
    run: str,
    found: FinetunedRun,
    name: str,
    base: str | None = None,
    fresh: str | None = None,
    config: FinetuneConfig | None = None,
) -> NetworkLearner:
    """A network as a learner, to be fine-tuned anew on the run's members.

    Args:
        run: folder of the run.
        found: what is in it.
        name: what results call the network.
        base: the pre-training run whose vocabulary its inputs have; the run's own by
            default.
        fresh: see `NetworkLearner`.
        config: choices; the run's own by default.
    """
    cohort = Path(run) / COHORT_FOLDER
    splits = ["train", "eval", "test"]
    if found.unlabelled is not None:
        splits.append(UNLABELLED)
    if config is None:
        config = FinetuneConfig(**found.facts["choices"])
        config = config.model_copy(update={"recipe": found.facts["recipe"]})
    files = {split: [str(cohort / f"Split-{split}" / "*")] for split in splits}
    base = base or str(found.facts["base"])
    return NetworkLearner(name, base, files, "test", found.task, config, fresh)


def rival_scores(
    run: str,
    found: FinetunedRun,
    seed: int,
    paper: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Iterator[tuple[str, Floats]]:
    """Other networks, with all labels, on the test rows.

    The same network from fresh weights and a GRU over the same visits get the run's
    own recipe: they rehearse the same past and fit the same labels. The paper's
    network gets the paper's. One that cannot be trained is left out.

    Args:
        run: folder of the run.
        found: what is in it.
        seed: of weights, order and dates.
        paper: a run of `claimpt pretrain --preset paper` on the same records; without
            it the paper's network is left out.
        say: called with a line about each network.

    Yields:
        Name and probabilities of the test rows, float64 (rows,).

    Raises:
        ArtifactError: no validation split, which calibrates them or stops them
            early.
    """
    if "eval" not in found.rows:
        raise ArtifactError(
            f"{run} has no labelled row in the split eval, on which networks are "
            "calibrated; take more members"
        )
    learners = [
        network_of(run, found, SCRATCH, fresh=SAME),
        network_of(run, found, GRU, fresh="gru"),
    ]
    if paper is None:
        say(f"{PAPER} is left out: give --paper, a pre-training run of that preset")
    else:
        learners.append(network_of(run, found, PAPER, base=paper, config=PUBLISHED))
    every = np.ones(found.rows["train"].height, bool)
    for learner in learners:
        say(f"training {learner.name}")
        try:
            yield learner.name, learner.scores(every, seed)
        except ClaimPTError as error:
            say(f"{learner.name} is left out: {error}")
