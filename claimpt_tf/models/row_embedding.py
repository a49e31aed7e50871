"""An embedding that reads only the rows it is asked for."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("claimpt_tf")
class RowEmbedding(keras.layers.Embedding):
    """`keras.layers.Embedding` without a copy of the whole table at each read.

    Once an optimizer has moved single rows of a variable, TensorFlow copies all of it
    whenever it is read as a tensor: 20 MB a read at 49,836 codes. Its variables can
    be asked for rows alone; those of other backends read none but these anyway.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # So that half precision casts the rows that were read, not the table.
        super().__init__(*args, **{**kwargs, "autocast": False})

    def call(self, ids: Any) -> Any:
        """Reads.

        Args:
          ids: int32 [...], each from 0 to `input_dim` - 1.

        Returns:
          float [..., output_dim].
        """
        table = self.embeddings.value
        # A variable of several replicas (it has `values`) knows no reading by row.
        if hasattr(table, "sparse_read") and not hasattr(table, "values"):
            rows = table.sparse_read(ids)
        else:
            rows = ops.take(self.embeddings, ids, axis=0)
        return ops.cast(rows, self.compute_dtype)
