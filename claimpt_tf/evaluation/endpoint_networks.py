"""Networks as learners of labels that are not yes or no."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from claimpt_tf.errors import ClaimPTError
from claimpt_tf.evaluation.finetuned_run import FinetunedRun, predictions_of
from claimpt_tf.evaluation.network_learner import SAME, network_for, read_base
from claimpt_tf.evaluation.run_networks import GRU, SCRATCH
from claimpt_tf.training.choices import FinetuneConfig
from claimpt_tf.training.finetune_run import COHORT_FOLDER, finetune_and_score
from claimpt_tf.training.seeds import set_seed


class EndpointLearner:
    """A network that is fine-tuned on the labels it may see.

    The validation split stops it early. Nothing is read before the first scores are
    asked for, so that it can be sent to another process.

    Args:
        name: what tables and plots call it.
        run: folder of the run whose members it learns from.
        found: what is in it.
        columns: of predictions; those of classes or categories that came in no row
            it saw are left out.
        config: choices.
        fresh: begin with new weights, of the base's own network (`SAME`) or of a
            preset.
    """

    def __init__(
        self,
        name: str,
        run: str,
        found: FinetunedRun,
        columns: list[str],
        config: FinetuneConfig,
        fresh: str | None = None,
    ) -> None:
        self.name, self._columns = name, columns
        self._base, self._task = str(found.facts["base"]), found.task
        self._test, self._config, self._fresh = found.rows["test"], config, fresh
        cohort = Path(run) / COHORT_FOLDER
        self._files = tuple(
            (split, (str(cohort / f"Split-{split}" / "*"),)) for split in found.rows
        )

    def scores(self, chosen: NDArray[np.bool_], seed: int) -> pl.DataFrame:
        """See `claimpt_tf.evaluation.cells.Learner.scores`."""
        _, sources = read_base(self._base, self._files)
        set_seed(seed)  # of weights that start fresh
        made = finetune_and_score(
            network_for(self._base, self._files, self._fresh),
            sources,
            self._task,
            self._config.model_copy(update={"seed": seed}),
            labelled=chosen,
        )
        known = [name for name in self._columns if name in made.predictions.columns]
        return predictions_of(self._test, made.predictions, self.name, "test", known)


def rival_predictions(
    run: str,
    found: FinetunedRun,
    labelled: NDArray[np.bool_],
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
    config = FinetuneConfig(**found.facts["choices"])
    config = config.model_copy(update={"recipe": found.facts["recipe"]})
    for name, fresh in ((SCRATCH, SAME), (GRU, "gru")):
        say(f"training {name}")
        learner = EndpointLearner(name, run, found, columns, config, fresh)
        try:
            yield name, learner.scores(labelled, seed)
        except ClaimPTError as error:
            say(f"{name} is left out: {error}")
