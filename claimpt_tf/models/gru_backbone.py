"""The recurrent network that transformers over visits are compared with."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from claimpt_tf.models.inputs import VISIT_INPUTS, backbone_inputs
from claimpt_tf.models.timeline_backbone import TimelineBackbone
from claimpt_tf.models.token_order import VisitTokens
from claimpt_tf.models.visit_embedding import VisitEmbedding
from claimpt_tf.models.visit_gru import VisitGru


@keras.saving.register_keras_serializable("claimpt_tf")
class GruBackbone(TimelineBackbone):
    """A GRU over the same visit vectors as `ClaimBackbone`, for comparison.

    Args:
      codes: Size of the code vocabulary, special ids included.
      stems: Size of the stem vocabulary, special ids included.
      width: Width of visit vectors and states.
      dropout: Rate at which whole codes are dropped in training.

    Example:
      >>> GruBackbone(codes=50, stems=20, width=16).output_shape
      (None, None, 16)
    """

    causal = True
    sizes = {"gru": {"width": 96}}

    def __init__(
        self,
        codes: int,
        stems: int,
        width: int = 96,
        dropout: float = 0.1,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        inputs = backbone_inputs()
        embed = VisitEmbedding(
            codes, stems, width, dropout=dropout, dtype=dtype, name="visit_embedding"
        )
        visits = embed(
            inputs["code_ids"],
            inputs["stem_ids"],
            *(inputs[name] for name in VISIT_INPUTS),
            birth_day=inputs["birth_day"],
        )
        _, states = VisitGru(width, dtype=dtype, name="block_0")(
            visits,
            inputs["visit_day"] + inputs["visit_length"],
            ops.equal(inputs["visit_type"], 0),
            inputs["query_day"],
            inputs["sex"],
            inputs["birth_day"],
        )
        super().__init__(inputs=inputs, outputs=states, dtype=dtype, **kwargs)
        self.codes, self.stems, self.width = codes, stems, width
        self.dropout, self.layer_count = dropout, 1

    def _visit_outputs(self) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        outputs, _ = self.get_layer("block_0").output
        visits = VisitTokens(dtype=self.dtype_policy, name="visit_tokens")
        return visits(outputs, self.input["visit_type"])

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the backbone."""
        return {
            **super().get_config(),
            "codes": self.codes,
            "stems": self.stems,
            "width": self.width,
            "dropout": self.dropout,
        }
