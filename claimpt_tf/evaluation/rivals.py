"""What stands beside a model on a page, in a sentence each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from claimpt_tf.evaluation.baselines import LIGHTGBM, LOGISTIC, PREVALENCE
from claimpt_tf.evaluation.evaluate import BASELINE_NAMES, HISTORY_NAME
from claimpt_tf.evaluation.run_networks import GRU, PAPER, SCRATCH
from claimpt_tf.evaluation.truth import BEST

COUNTS: Final = (
    "counts by code, category and visit type over all, 365 and 90 days, with age, sex, "
    "enrolment and utilisation"
)
_DESCRIPTIONS: Final = {
    BASELINE_NAMES[PREVALENCE]: "the training rows' share with the outcome, for all",
    BASELINE_NAMES[LOGISTIC]: f"L2; {COUNTS}; its strength by cross-validation",
    BASELINE_NAMES[LIGHTGBM]: f"boosted trees; {COUNTS}; their size and number by "
    "cross-validation",
    HISTORY_NAME: "the same trees, which also learn the task's own question at earlier "
    "dates of training members: what adaptation gets, without a network",
    SCRATCH: "the same recipe from new weights",
    GRU: "a recurrent network with the same recipe, from new weights",
    PAPER: "Zeng, Linwood and Liu 2022: their network, pre-trained on the same "
    "members; flat Adam at 1e-4, 20 epochs",
    BEST: "the simulator's own risk given each member's hidden state, which no model "
    "sees; none ranks better on average",
}


def described(models: Iterable[str]) -> dict[str, str]:
    """Model -> what it is, of those that are known here.

    >>> described(["pre-trained", "prevalence, trained at home"]).keys()
    dict_keys(['prevalence, trained at home'])
    """
    return {
        model: _DESCRIPTIONS[name]
        for model in models
        if (name := model.partition(", trained ")[0]) in _DESCRIPTIONS
    }
