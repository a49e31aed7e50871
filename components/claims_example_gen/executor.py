"""Executor of ClaimsExampleGen."""

from __future__ import annotations

import os
from typing import Any

import apache_beam as beam
from google.protobuf import json_format, struct_pb2
from tfx.components.example_gen.base_example_gen_executor import (
    BaseExampleGenExecutor,
)
from tfx.proto import example_gen_pb2
from tfx.types import Artifact, artifact_utils
from tfx.utils import proto_utils

from claimpt_tf.visits.ingest import (
    ClaimsToRecords,
    WriteQuarantine,
    WriteSummary,
    check_summary,
)
from claimpt_tf.visits.rules import VisitRules
from claimpt_tf.visits.splits import SPLITS

QUARANTINE_FOLDER, SUMMARY_FILE = "quarantine", "summary.json"


class Executor(BaseExampleGenExecutor):
    """Reads claims tables, and writes splits, quarantine and summary."""

    def GetInputSourceToExamplePTransform(self) -> Any:  # noqa: N802
        """The transform that `GenerateExamplesByBeam` applies once for all splits."""
        return ClaimsToRecords

    def GenerateExamplesByBeam(  # noqa: N802
        self, pipeline: beam.Pipeline, exec_properties: dict[str, Any]
    ) -> dict[str, beam.PCollection]:
        """Serialised records of each split, by the keyed hash of the member."""
        choices = _choices(exec_properties)
        outputs = pipeline | "Claims" >> ClaimsToRecords(
            choices["source"],
            exec_properties["input_base"],
            VisitRules(**choices["rules"]),
            choices["key_file"] or None,
        )
        _ = outputs["quarantine"] | WriteQuarantine(
            os.path.join(self._uri, QUARANTINE_FOLDER)
        )
        _ = outputs["counts"] | WriteSummary(os.path.join(self._uri, SUMMARY_FILE))
        return {
            split: outputs["records"]
            | f"Keep[{split}]" >> beam.Filter(lambda pair, name=split: pair[0] == name)
            | f"Record[{split}]" >> beam.Values()
            for split in SPLITS
        }

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs Beam, then checks that no line was lost.

        Raises:
          InputError: Too many lines were unusable, or the counts do not reconcile.
        """
        self._uri = artifact_utils.get_single_uri(output_dict["examples"])
        super().Do(input_dict, output_dict, exec_properties)
        check_summary(
            os.path.join(self._uri, SUMMARY_FILE),
            _choices(exec_properties)["max_quarantined"],
        )


def _choices(exec_properties: dict[str, Any]) -> dict[str, Any]:
    config = example_gen_pb2.CustomConfig()
    proto_utils.json_to_proto(exec_properties["custom_config"], config)
    choices = struct_pb2.Struct()
    config.custom_config.Unpack(choices)
    return json_format.MessageToDict(choices)
