"""Executor of CohortGen."""

from __future__ import annotations

import json
import os
from typing import Any

from rich.console import Console
from tfx.dsl.components.base import base_beam_executor
from tfx.types import Artifact, artifact_utils

from claimpt_tf.tasks.attrition import check_enough
from claimpt_tf.tasks.label_table import read_labels
from claimpt_tf.tasks.spec import Task
from claimpt_tf.tasks.transform import (
    ATTRITION_FILE,
    TASK_FILE,
    label_files,
    take_counts,
)

SCREEN_FILE = "attrition.txt"


class Executor(base_beam_executor.BaseBeamExecutor):
    """Labels every split and counts who left."""

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes labelled examples, the task as it was read, and the attrition.

        Raises:
          InputError: The table of labels cannot be used.
          TaskError: The task matches nobody, or too few to learn from.
        """
        records = artifact_utils.get_single_instance(input_dict["examples"])
        cohort = artifact_utils.get_single_instance(output_dict["cohort"])
        funnel = artifact_utils.get_single_instance(output_dict["attrition"])
        task = Task.model_validate_json(exec_properties["task"])
        splits = artifact_utils.decode_split_names(records.split_names)
        table = None
        if task.labels is not None:
            table = read_labels(task, exec_properties.get("key_file") or None)
            task = table.task
        patterns = {
            split: os.path.join(
                artifact_utils.get_split_uri(input_dict["examples"], split), "*"
            )
            for split in splits
        }
        with self._make_beam_pipeline() as pipeline:
            written = label_files(pipeline, task, patterns, cohort.uri, table)
        cohort.split_names = artifact_utils.encode_split_names(list(written))
        attrition = take_counts(cohort.uri, table)
        with open(os.path.join(cohort.uri, TASK_FILE), "w") as file:
            file.write(task.to_yaml())
        warnings = [*(table.warnings() if table else ()), *check_enough(attrition)]
        os.makedirs(funnel.uri, exist_ok=True)
        with open(os.path.join(funnel.uri, ATTRITION_FILE), "w") as file:
            json.dump({**attrition.export(), "warnings": warnings}, file, indent=1)
        with open(os.path.join(funnel.uri, SCREEN_FILE), "w") as file:
            screen = Console(file=file, width=88, highlight=False)
            screen.print(attrition.table(), *warnings, sep="\n")
