"""Executor of the ServingValidator."""

from __future__ import annotations

import itertools
import json
import os
from typing import Any

from tfx.dsl.components.base import base_executor
from tfx.types import Artifact, artifact_utils
from tfx.utils import path_utils

from claimpt_tf.serving.check import check_servable
from claimpt_tf.serving.check_signatures import ALL
from claimpt_tf.training.sources import matching
from claimpt_tf.visits.records import read_records

PROBLEMS_FILE = "problems.json"
BLESSED, NOT_BLESSED = "INFRA_BLESSED", "INFRA_NOT_BLESSED"


class Executor(base_executor.BaseExecutor):
    """Blesses or not, and writes down why."""

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Replays test records against the candidate."""
        model = artifact_utils.get_single_instance(input_dict["model"])
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        files = artifact_utils.get_split_uri(input_dict["examples"], "test")
        records = read_records(matching([os.path.join(files, "*")]))
        check = check_servable(
            path_utils.serving_model_path(model.uri),
            list(itertools.islice(records, exec_properties["samples"])),
            latency_budget_ms=exec_properties["latency_budget_ms"],
            required=ALL,
        )
        os.makedirs(blessing.uri, exist_ok=True)
        with open(os.path.join(blessing.uri, PROBLEMS_FILE), "w") as file:
            json.dump(check.problems, file, indent=1)
        verdict = NOT_BLESSED if check.problems else BLESSED
        with open(os.path.join(blessing.uri, verdict), "w"):
            pass
        blessing.set_int_custom_property("blessed", int(not check.problems))
