"""Vocabularies of a training split, and the transformation that uses them."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tfx_bsl.public import tfxio

from claimpt_tf.beam_options import with_runner
from claimpt_tf.errors import ArtifactError
from claimpt_tf.visits.ids import CODE_VOCABULARY, STEM_VOCABULARY
from claimpt_tf.visits.preprocessing import MIN_CODE_COUNT, preprocessing_fn
from claimpt_tf.visits.schema import load_schema


@dataclass(frozen=True)
class TransformGraph:
    """What Transform makes of a training split, or `analyse` without TFX.

    Attributes:
      codes: The code vocabulary in file order.
      stems: Size of the stem vocabulary.
      layer: Raw features to transformed ones; a Keras 2 model, so it is called inside
        a `tf.function` and never put in a Keras 3 model.
    """

    codes: list[str]
    stems: int
    layer: Callable[[Mapping[str, Any]], Mapping[str, Any]]

    @classmethod
    def load(cls, folder: str) -> TransformGraph:
        """Loads a Transform artifact, or a folder that `analyse` wrote.

        Raises:
          ArtifactError: The folder holds no transformation.
        """
        try:
            output = tft.TFTransformOutput(folder)
            codes = output.vocabulary_by_name(CODE_VOCABULARY)
            stems = output.vocabulary_size_by_name(STEM_VOCABULARY)
        except (OSError, ValueError) as error:
            raise ArtifactError(
                f"{folder} holds no vocabularies: give the folder of a finished "
                f"Transform, or of a run of `claimpt pretrain` ({error})"
            ) from error
        return cls(
            [code.decode() for code in codes], stems, output.transform_features_layer()
        )

    @property
    def fingerprint(self) -> str:
        """Hex digest that two vocabularies share only if they are the same."""
        text = "\n".join([str(self.stems), *self.codes])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def analyse(
    files: Sequence[str],
    output: str,
    min_code_count: int = MIN_CODE_COUNT,
    beam_args: Sequence[str] = (),
) -> None:
    """Makes the vocabularies of a training split with `preprocessing_fn`.

    Args:
      files: TFRecords of the training split.
      output: The folder to make; it appears when it is complete.
      min_code_count: Rarer codes become UNKNOWN.
      beam_args: Beam's command-line options; without `--runner` it runs here.
    """
    source = tfxio.TFExampleRecord(list(files), schema=load_schema())
    draft = tempfile.mkdtemp(prefix=".transform-", dir=os.path.dirname(output) or ".")
    options = beam.options.pipeline_options.PipelineOptions(with_runner(beam_args))
    try:
        with (
            beam.Pipeline(options=options) as pipeline,
            tft_beam.Context(temp_dir=os.path.join(draft, "temporary")),
        ):
            records = pipeline | "Read" >> source.BeamSource()
            made = (
                records,
                source.TensorAdapterConfig(),
            ) | "Analyse" >> tft_beam.AnalyzeDataset(
                lambda inputs: preprocessing_fn(
                    inputs, {"min_code_count": min_code_count}
                )
            )
            _ = made | "Write" >> tft_beam.WriteTransformFn(os.path.join(draft, "made"))
        os.replace(os.path.join(draft, "made"), output)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
