"""The published network's encoder layer."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from claimpt_tf.models.token_dense import TokenDense


@keras.saving.register_keras_serializable("claimpt_tf")
class PostNormBlock(keras.layers.Layer):
    """Attention, then a feed-forward network, normalised after each residual sum.

    No projection has a bias and the heads' outputs are not projected again: only so
    do the parameters add up to the published 5,761,614 (docs/models.md), and
    therefore keras-hub's TransformerEncoder does not fit.

    Args:
      width: Width of tokens.
      heads: Attention heads; divides `width`.
      feed_forward: Width of the hidden layer, ReLU.

    Raises:
      ValueError: `width` is no multiple of `heads`.
    """

    def __init__(
        self, width: int = 100, heads: int = 2, feed_forward: int = 100, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if width % heads:
            raise ValueError(f"width {width} is no multiple of heads {heads}")
        self.width, self.heads, self.feed_forward = width, heads, feed_forward
        policy = self.dtype_policy
        self.qkv = TokenDense(3 * width, use_bias=False, name="qkv", dtype=policy)
        self.attention_norm = keras.layers.LayerNormalization(
            epsilon=1e-6, name="attention_norm", dtype=policy
        )
        self.expand = TokenDense(
            feed_forward, "relu", use_bias=False, name="expand", dtype=policy
        )
        self.contract = TokenDense(width, use_bias=False, name="contract", dtype=policy)
        self.norm = keras.layers.LayerNormalization(
            epsilon=1e-6, name="norm", dtype=policy
        )

    def build(self, *shapes: Any) -> None:
        """Builds the parts; shapes are known from the arguments alone."""
        for part in (self.qkv, self.attention_norm, self.expand, self.norm):
            part.build((None, None, self.width))
        self.contract.build((None, None, self.feed_forward))
        self.built = True

    def call(self, tokens: Any, real: Any) -> Any:
        """Attends.

        Args:
          tokens: float [..., T, width].
          real: bool [..., T], True where a token may be read.

        Returns:
          float [..., T, width].
        """
        outer, length = ops.shape(tokens)[:-2], ops.shape(tokens)[-2]
        size = self.width // self.heads
        query, key, value = (
            ops.reshape(part, (*outer, length, self.heads, size))
            for part in ops.split(self.qkv(tokens), 3, axis=-1)
        )
        logits = ops.einsum("...ihd,...jhd->...hij", query, key)
        logits = ops.cast(logits, "float32") / size**0.5
        logits = ops.where(real[..., None, None, :], logits, -1e9)
        weights = ops.cast(ops.softmax(logits, axis=-1), value.dtype)
        mixed = ops.einsum("...hij,...jhd->...ihd", weights, value)
        mixed = ops.reshape(mixed, (*outer, length, self.width))
        tokens = self.attention_norm(tokens + mixed)
        return self.norm(tokens + self.contract(self.expand(tokens)))

    def compute_output_shape(self, tokens_shape: Any, real_shape: Any) -> tuple:
        """Like the tokens."""
        return tokens_shape

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer."""
        return {
            **super().get_config(),
            "width": self.width,
            "heads": self.heads,
            "feed_forward": self.feed_forward,
        }
