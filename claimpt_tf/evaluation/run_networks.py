"""Networks on the members of a fine-tuned run: its own, and its rivals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from claimpt_tf.errors import ArtifactError
from claimpt_tf.evaluation.finetuned_run import FinetunedRun
from claimpt_tf.evaluation.network_learner import NetworkLearner
from claimpt_tf.evaluation.weighted import Floats
from claimpt_tf.models.presets import backbone
from claimpt_tf.tasks.unlabelled import UNLABELLED
from claimpt_tf.training.choices import FinetuneConfig
from claimpt_tf.training.finetune_run import COHORT_FOLDER
from claimpt_tf.training.pretrain import load_backbone
from claimpt_tf.training.pretrain_run import TRANSFORM_FOLDER
from claimpt_tf.training.sources import labelled_sources
from claimpt_tf.training.transform_graph import TransformGraph
from claimpt_tf.visits.ids import FIRST_CODE

SCRATCH: Final = "the same network, not pre-trained"
GRU: Final = "GRU on the same visits, not pre-trained"
PAPER: Final = "the paper's network and recipe"
# Flat Adam at 1e-4 and 20 epochs: the published notebooks'.
PUBLISHED: Final = FinetuneConfig(
    recipe="labels", layer_decay=1.0, learning_rate=1e-4, epochs=20, patience=20
)

Start = Callable[[TransformGraph], Any]


def network_of(
    run: str,
    found: FinetunedRun,
    name: str,
    base: str | None = None,
    start: Start | None = None,
    config: FinetuneConfig | None = None,
) -> NetworkLearner:
    """A network as a learner, to be fine-tuned anew on the run's members.

    Args:
        run: folder of the run.
        found: what is in it.
        name: what results call the network.
        base: the pre-training run whose vocabulary its inputs have; the run's own by
            default.
        start: gives the backbone to begin with; the base's by default.
        config: choices; the run's own by default.

    Raises:
        ArtifactError: the base is gone.
    """
    base, cohort = base or found.facts["base"], Path(run) / COHORT_FOLDER
    graph = TransformGraph.load(str(Path(base) / TRANSFORM_FOLDER))
    splits = ["train", "eval", "test"]
    if found.unlabelled is not None:
        splits.append(UNLABELLED)
    sources = labelled_sources(
        {split: [str(cohort / f"Split-{split}" / "*")] for split in splits}, graph.layer
    )
    if config is None:
        config = FinetuneConfig(**found.facts["choices"])
        config = config.model_copy(update={"recipe": found.facts["recipe"]})

    def begin() -> Any:
        return start(graph) if start else load_backbone(base, graph.codes)

    return NetworkLearner(name, begin, sources, "test", found.task, graph.codes, config)


def rival_scores(
    run: str,
    found: FinetunedRun,
    seed: int,
    paper: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Floats]:
    """Other networks, with all labels, on the test rows.

    The same network from fresh weights and a GRU over the same visits get the run's
    own recipe: they rehearse the same past and fit the same labels. The paper's
    network gets the paper's.

    Args:
        run: folder of the run.
        found: what is in it.
        seed: of weights, order and dates.
        paper: a run of `claimpt pretrain --preset paper` on the same records; without
            it the paper's network is left out.
        say: called with a line about each network.

    Returns:
        Name -> probabilities of the test rows, float64 (rows,).

    Raises:
        ArtifactError: no validation split, which calibrates them or stops them
            early, or a base that is gone.
    """
    if "eval" not in found.rows:
        raise ArtifactError(
            f"{run} has no labelled row in the split eval, on which networks are "
            "calibrated; take more members"
        )

    def fresh(graph: TransformGraph) -> Any:
        own = load_backbone(found.facts["base"], graph.codes)
        return type(own).from_config(own.get_config())

    def recurrent(graph: TransformGraph) -> Any:
        codes, stems = FIRST_CODE + len(graph.codes), FIRST_CODE + graph.stems
        return backbone("gru", codes, stems)

    learners = [
        network_of(run, found, SCRATCH, start=fresh),
        network_of(run, found, GRU, start=recurrent),
    ]
    if paper is None:
        say(f"{PAPER} is left out: give --paper, a pre-training run of that preset")
    else:
        learners.append(network_of(run, found, PAPER, base=paper, config=PUBLISHED))
    every = np.ones(found.rows["train"].height, bool)
    scores = {}
    for learner in learners:
        say(f"training {learner.name}")
        scores[learner.name] = learner.scores(every, seed)
    return scores
