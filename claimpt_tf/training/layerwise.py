"""AdamW with a learning rate for each group of variables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("claimpt_tf")
class LayerwiseAdamW(keras.optimizers.AdamW):
    """AdamW whose step and decoupled decay are scaled by variable path.

    Scaling gradients does nothing under Adam, so the update itself is scaled.
    Clipping sees the raw gradients and keeps its usual meaning.

    Args:
      groups: Ordered [pattern, factor] pairs; the first pattern found in a
        variable's path (`re.search`) decides. Factor 0 freezes.
      **kwargs: Arguments of `keras.optimizers.AdamW`.

    Raises:
      ValueError: At build, if a variable matches no pattern or a pattern no variable.

    Example:
      >>> optimizer = LayerwiseAdamW([["backbone", 0.1], ["", 1.0]], learning_rate=1e-3)
      >>> optimizer.get_config()["groups"]
      [['backbone', 0.1], ['', 1.0]]
    """

    def __init__(self, groups: Sequence[Sequence[Any]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.groups: list[list[Any]] = [
            [str(pattern), float(factor)] for pattern, factor in groups
        ]
        self._factors: list[float] = []

    def build(self, variables: Sequence[Any]) -> None:
        """Assigns every variable to its group."""
        if self.built:
            return
        found = [self._group_of(variable.path) for variable in variables]
        unused = [g[0] for n, g in enumerate(self.groups) if n not in found]
        if unused:
            paths = ", ".join(sorted(v.path for v in variables))
            raise ValueError(f"no variable matches {unused}; variables are {paths}")
        self._factors = [self.groups[n][1] for n in found]
        super().build(variables)

    def _group_of(self, path: str) -> int:
        for number, (pattern, _) in enumerate(self.groups):
            if re.search(pattern, path):
                return number
        raise ValueError(f"variable {path} matches no group of the optimizer")

    def _factor(self, variable: Any) -> float:
        return self._factors[self._get_variable_index(variable)]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """AdamW's step at the group's rate."""
        super().update_step(gradient, variable, learning_rate * self._factor(variable))

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        if self.weight_decay is None:
            return
        for variable in variables:
            if self._use_weight_decay(variable):
                rate = ops.cast(self.learning_rate, variable.dtype)
                decay = rate * self.weight_decay * self._factor(variable)
                variable.assign(variable - variable * decay)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the optimizer."""
        return {**super().get_config(), "groups": self.groups}


def discriminative_groups(blocks: int, decay: float) -> list[list[Any]]:
    """Rates that fall from the head to the embeddings (ULMFiT, section 3.2).

    Args:
      blocks: Number of transformer blocks.
      decay: Factor from one layer to the one below; ULMFiT uses 1 / 2.6.

    Returns:
      Groups for LayerwiseAdamW on a ClaimBackbone with any head.

    Example:
      >>> discriminative_groups(2, 0.5)[:2]
      [['(^|/)block_1/', 0.5], ['(^|/)block_0/', 0.25]]
    """
    order = [rf"(^|/)block_{n}/" for n in reversed(range(blocks))]
    groups: list[list[Any]] = [
        [pattern, decay ** (depth + 1)] for depth, pattern in enumerate(order)
    ]
    bottom = decay ** (blocks + 1)
    groups += [["(^|/)(visit_embedding|index_token)/", bottom]]
    return [*groups, ["(^|/)final_norm/", decay], ["", 1.0]]
