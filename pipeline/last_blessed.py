"""Which model a candidate must not be worse than."""

from __future__ import annotations

from typing import Any

from tfx.components.evaluator import constants
from tfx.dsl.components.common.resolver import ResolverStrategy
from tfx.dsl.io import fileio
from tfx.types import Artifact

from components.release_gate.executor import TASK_PROPERTY

CANDIDATE, MODEL, BLESSING = "candidate", "model", "blessing"


class LastBlessed(ResolverStrategy):
    """The model that the gate blessed last for a task, other than the candidate.

    TFX's own strategy knows no tasks, and in a rerun would give the candidate itself:
    then nothing would be taken from the cache.

    Args:
      task: Name of the task.
    """

    def __init__(self, task: str) -> None:
        self._task = task

    def resolve_artifacts(
        self, store: Any, input_dict: dict[str, list[Artifact]]
    ) -> dict[str, list[Artifact]]:
        """The inputs, models and blessings cut down to one or none."""
        candidates = {model.id for model in input_dict[CANDIDATE]}
        models = {model.id: model for model in input_dict[MODEL]}
        latest_first = sorted(
            input_dict[BLESSING], key=lambda one: one.id, reverse=True
        )
        for blessing in latest_first:
            judged = blessing.get_int_custom_property(
                constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY
            )
            if (
                blessing.get_string_custom_property(TASK_PROPERTY) == self._task
                and blessing.get_int_custom_property(
                    constants.ARTIFACT_PROPERTY_BLESSED_KEY
                )
                == constants.BLESSED_VALUE
                and judged in models.keys() - candidates
                and fileio.exists(models[judged].uri)
            ):
                return {
                    **input_dict, MODEL: [models[judged]], BLESSING: [blessing]
                }  # fmt: skip
        return {**input_dict, MODEL: [], BLESSING: []}
