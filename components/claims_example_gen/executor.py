"""Executor of ClaimsExampleGen."""

from __future__ import annotations

import json
import os
import tempfile
import time
from typing import Any

from google.protobuf import json_format, struct_pb2
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import Artifact, artifact_utils
from tfx.utils import proto_utils

from claimpt_tf.beam_options import is_local
from claimpt_tf.claims.readers.registry import reader_for
from claimpt_tf.claims.spans import has_spans, span_folders
from claimpt_tf.visits.claims_to_records import (
    ClaimsToBlocks,
    WriteCounts,
    WriteQuarantine,
    WriteShards,
    units_of,
)
from claimpt_tf.visits.ingest import choose_buckets, estimated_lines
from claimpt_tf.visits.rules import VisitRules
from claimpt_tf.visits.splits import SPLITS
from claimpt_tf.visits.summary import check_quarantined, summarise

QUARANTINE_FOLDER, SUMMARY_FILE = "quarantine", "summary.json"


class Executor(base_beam_executor.BaseBeamExecutor):
    """Reads claims tables, and writes splits, quarantine and summary."""

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs Beam, then checks that no line was lost.

        Raises:
          InputError: The input cannot be read, or too many lines were unusable.
          ArtifactError: Lines read and lines accounted for differ.
        """
        began = time.monotonic()
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        choices = _choices(exec_properties)
        inputs = _inputs(exec_properties, choices["pattern"])
        reader = reader_for(choices["source"])
        # `claimpt run` has done this before; an orchestrator has not.
        for folder in [inputs] if isinstance(inputs, str) else inputs:
            reader.check(folder)
        units = units_of(reader, inputs)
        buckets = choose_buckets(sum(estimated_lines(unit) for _, unit in units))
        counts_file = os.path.join(examples.uri, "counts.json")
        with (
            tempfile.TemporaryDirectory(prefix="claimpt-") as spill,
            self._make_beam_pipeline() as pipeline,
        ):
            made = pipeline | "Claims" >> ClaimsToBlocks(
                choices["source"],
                inputs,
                VisitRules.model_validate_json(choices["rules"]),
                choices["key_file"] or None,
                buckets,
                shift_dates=choices["shift_dates"],
                spill=spill if is_local(self._beam_pipeline_args or ()) else None,
            )
            _ = made["blocks"] | "Records" >> WriteShards(examples.uri, buckets)
            _ = made["quarantine"] | "Quarantine" >> WriteQuarantine(
                os.path.join(examples.uri, QUARANTINE_FOLDER)
            )
            _ = made["counts"] | "Counts" >> WriteCounts(counts_file)
        with fileio.open(counts_file) as file:
            summary = summarise(json.load(file), time.monotonic() - began)
        fileio.remove(counts_file)
        with fileio.open(os.path.join(examples.uri, SUMMARY_FILE), "w") as file:
            file.write(summary.to_json())
        check_quarantined(summary, choices["max_quarantined"])
        examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
        examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
        examples_utils.set_file_format(examples, "tfrecords_gzip")


def _inputs(exec_properties: dict[str, Any], pattern: str) -> str | list[str]:
    """The folder of the claims, or those of all spans up to the one to be made."""
    base = exec_properties["input_base"]
    if not has_spans(pattern):
        return base
    return span_folders(
        os.path.join(base, os.path.dirname(pattern)), int(exec_properties["span"])
    )


def _choices(exec_properties: dict[str, Any]) -> dict[str, Any]:
    config = example_gen_pb2.CustomConfig()
    proto_utils.json_to_proto(exec_properties["custom_config"], config)
    choices = struct_pb2.Struct()
    config.custom_config.Unpack(choices)
    return json_format.MessageToDict(choices)
