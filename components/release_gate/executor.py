"""Executor of the ReleaseGate."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tfx.components.evaluator import constants
from tfx.dsl.components.base import base_executor
from tfx.types import Artifact, artifact_utils

from claimpt_tf.evaluation.comparison import Comparison
from claimpt_tf.evaluation.evaluate import METRICS_FILE
from components.release_gate.reasons import behind_counts, of_evaluation

REASONS_FILE = "reasons.json"


class Executor(base_executor.BaseExecutor):
    """Blesses or not, and writes down why."""

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Puts the Evaluator's and the report's findings together."""
        model = artifact_utils.get_single_instance(input_dict["model"])
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        report = Path(artifact_utils.get_single_uri(input_dict["report"]))
        found = Comparison.from_json((report / METRICS_FILE).read_text())
        reasons = [
            *of_evaluation(artifact_utils.get_single_uri(input_dict["evaluation"])),
            *behind_counts(found, exec_properties["max_behind_counts"]),
        ]
        os.makedirs(blessing.uri, exist_ok=True)
        with open(os.path.join(blessing.uri, REASONS_FILE), "w") as file:
            json.dump(reasons, file, indent=1)
        verdict = (
            constants.NOT_BLESSED_FILE_NAME if reasons else constants.BLESSED_FILE_NAME
        )
        with open(os.path.join(blessing.uri, verdict), "w"):
            pass
        # What TFX's own Evaluator writes, so that others can read it.
        blessing.set_int_custom_property(
            constants.ARTIFACT_PROPERTY_BLESSED_KEY, int(not reasons)
        )
        blessing.set_int_custom_property(
            constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id
        )
        blessing.set_string_custom_property(
            constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri
        )
