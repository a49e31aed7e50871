"""What the trainers take from the Transform component."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx_bsl.public import tfxio

from claimpt_tf.training.batches import READ_BATCH
from claimpt_tf.training.sources import kept, matching
from claimpt_tf.training.transform_graph import TransformGraph

__all__ = ["TransformGraph", "transformed_source"]


def transformed_source(fn_args: FnArgs, files: list[str]) -> tf.data.Dataset:
    """Transformed examples of a split, in batches, kept in memory where they fit.

    Raises:
      ArtifactError: The split has no file.
    """
    schema = tft.TFTransformOutput(fn_args.transform_output).transformed_metadata.schema
    paths = matching(files)
    source = fn_args.data_accessor.tf_dataset_factory(
        paths,
        tfxio.TensorFlowDatasetOptions(
            batch_size=READ_BATCH, num_epochs=1, shuffle=False
        ),
        schema,
    )
    return kept(source, paths)
