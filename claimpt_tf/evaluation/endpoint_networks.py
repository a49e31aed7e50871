"""Other networks on the members of a run whose labels are not yes or no."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl

from claimpt_tf.errors import ClaimPTError
from claimpt_tf.evaluation.finetuned_run import FinetunedRun, predictions_of
from claimpt_tf.evaluation.run_networks import GRU, SCRATCH
from claimpt_tf.models.presets import backbone
from claimpt_tf.training.choices import FinetuneConfig
from claimpt_tf.training.finetune_run import COHORT_FOLDER, finetune_and_score
from claimpt_tf.training.pretrain import load_backbone
from claimpt_tf.training.pretrain_run import TRANSFORM_FOLDER
from claimpt_tf.training.seeds import set_seed
from claimpt_tf.training.sources import labelled_sources
from claimpt_tf.training.transform_graph import TransformGraph
from claimpt_tf.visits.ids import FIRST_CODE


def rival_predictions(
    run: str,
    found: FinetunedRun,
    labelled: np.ndarray,
    columns: list[str],
    seed: int,
    say: Callable[[str], None] = lambda line: None,
) -> Iterator[tuple[str, pl.DataFrame]]:
    """The same network from fresh weights, and a GRU, with the run's own recipe.

    Args:
        run: folder of the run.
        found: what is in it.
        labelled: bool (training rows,), whose labels may be used.
        columns: of predictions.
        seed: of weights and order.
        say: called with a line about each network; one that cannot be trained is
            left out with its reason.

    Yields:
        Name, and predictions of the test rows.
    """
    base, cohort = str(found.facts["base"]), Path(run) / COHORT_FOLDER
    graph = TransformGraph.load(str(Path(base) / TRANSFORM_FOLDER))
    files = {name: [str(cohort / f"Split-{name}" / "*")] for name in found.rows}
    sources = labelled_sources(files, graph.layer)
    config = FinetuneConfig(**found.facts["choices"])
    config = config.model_copy(update={"recipe": found.facts["recipe"], "seed": seed})
    for name in (SCRATCH, GRU):
        say(f"training {name}")
        set_seed(seed)  # of weights that start fresh
        try:
            if name == GRU:
                sizes = (FIRST_CODE + len(graph.codes), FIRST_CODE + graph.stems)
                network = backbone("gru", *sizes)
            else:
                network = load_backbone(base, graph.codes, fresh=True)
            made = finetune_and_score(
                network, sources, found.task, config, labelled=labelled
            )
            table = made.predictions
            yield name, predictions_of(found.rows["test"], table, name, "test", columns)
        except ClaimPTError as error:
            say(f"{name} is left out: {error}")
