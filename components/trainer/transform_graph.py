"""What the trainers take from the Transform component."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx_bsl.public import tfxio

from claimpt_tf.training.batches import READ_BATCH
from claimpt_tf.training.sources import matching
from claimpt_tf.visits.ids import CODE_VOCABULARY, STEM_VOCABULARY


@dataclass(frozen=True)
class TransformGraph:
    """Vocabularies and the transformation itself.

    Attributes:
      codes: The code vocabulary in file order.
      stems: Size of the stem vocabulary.
      layer: Raw features to transformed ones; a Keras 2 model, so it is called inside
        a `tf.function` and never put in a Keras 3 model.
    """

    codes: list[str]
    stems: int
    layer: Any

    @classmethod
    def load(cls, folder: str) -> TransformGraph:
        """Loads a Transform artifact."""
        output = tft.TFTransformOutput(folder)
        codes = output.vocabulary_by_name(CODE_VOCABULARY)
        return cls(
            [code.decode() for code in codes],
            output.vocabulary_size_by_name(STEM_VOCABULARY),
            output.transform_features_layer(),
        )


def transformed_source(fn_args: FnArgs, files: list[str]) -> tf.data.Dataset:
    """Transformed examples of a split, in batches, once through.

    Raises:
      ArtifactError: The split has no file.
    """
    schema = tft.TFTransformOutput(fn_args.transform_output).transformed_metadata.schema
    return fn_args.data_accessor.tf_dataset_factory(
        matching(files),
        tfxio.TensorFlowDatasetOptions(
            batch_size=READ_BATCH, num_epochs=1, shuffle=False
        ),
        schema,
    )
