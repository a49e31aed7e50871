"""ClaimsExampleGen: claims tables of any supported standard to patient records."""

from __future__ import annotations

import posixpath

from google.protobuf import struct_pb2
from tfx.components.example_gen.component import FileBasedExampleGen
from tfx.dsl.components.base import executor_spec
from tfx.proto import example_gen_pb2

from claimpt_tf.claims.spans import has_spans
from claimpt_tf.errors import InputError
from claimpt_tf.visits.rules import VisitRules
from claimpt_tf.visits.splits import SPLITS
from components.claims_example_gen.executor import Executor


class ClaimsExampleGen(FileBasedExampleGen):
    """Reads claims, writes one record a patient in train, eval and test splits.

    A FileBasedExampleGen, so that new or changed input files make a new execution,
    spans work, and Kubeflow runs its driver. Splits are by patient hash. The
    artifact also holds `quarantine/` and `summary.json`.

    Args:
      input_base: Folder of the claims tables.
      source: Input standard, a name of `claimpt_tf.claims.readers.registry`.
      rules: How lines become visits; the defaults when None.
      key_file: File with the key that hashes member ids; only its path is recorded.
      max_quarantined: Share of lines that may be unusable.
      shift_dates: Whether each member's dates are moved by days of their own.
      pattern: Glob of the input files below `input_base`, for the fingerprint; or
        `month-{SPAN}/*`, where each folder holds the rows that came with a span. The
        newest span makes a new execution, which reads all spans up to it, since a
        member's timeline is made of all. TFX takes fingerprints of the newest only: a
        correction of earlier months belongs into a new span, as reversals do.

    Raises:
      InputError: `{SPAN}` stands elsewhere in the pattern.
    """

    def __init__(
        self,
        input_base: str,
        source: str,
        rules: VisitRules | None = None,
        key_file: str | None = None,
        max_quarantined: float = 0.2,
        shift_dates: bool = False,
        pattern: str = "*",
    ) -> None:
        if has_spans(pattern) and (
            has_spans(posixpath.basename(pattern)) or pattern.count("/") != 1
        ):
            raise InputError(
                f"pattern {pattern}: give {{SPAN}} in the name of a folder below the "
                "input, such as month-{SPAN}/*."
            )
        choices = struct_pb2.Struct()
        choices.update(
            {
                "source": source,
                "rules": (rules or VisitRules()).model_dump_json(),
                "key_file": key_file or "",
                "max_quarantined": max_quarantined,
                "shift_dates": shift_dates,
                "pattern": pattern,
            }
        )
        config = example_gen_pb2.CustomConfig()
        config.custom_config.Pack(choices)
        # The executor splits by the keyed hash; the buckets only name the splits.
        splits = [
            example_gen_pb2.SplitConfig.Split(name=name, hash_buckets=1)
            for name in SPLITS
        ]
        super().__init__(
            input_base=input_base,
            input_config=example_gen_pb2.Input(
                splits=[example_gen_pb2.Input.Split(name="claims", pattern=pattern)]
            ),
            output_config=example_gen_pb2.Output(
                split_config=example_gen_pb2.SplitConfig(splits=splits)
            ),
            custom_config=config,
            custom_executor_spec=executor_spec.BeamExecutorSpec(Executor),
        )
