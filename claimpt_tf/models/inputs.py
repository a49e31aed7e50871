"""What every backbone takes, and the parts of what it gives."""

from __future__ import annotations

import keras

VISIT_INPUTS = {
    "visit_type": "int32",
    "visit_day": "int32",
    "visit_length": "int32",
    "log_cost": "float32",
}


def backbone_inputs() -> dict[str, keras.KerasTensor]:
    """Symbolic inputs of a backbone, by name.

    Returns:
      `code_ids`, `stem_ids` int32 [B, V, C]; `visit_type`, `visit_day`,
      `visit_length` int32 and `log_cost` float32 [B, V]; `sex`, `birth_day` int32
      [B]; `query_day` int32 [B, Q].
    """
    inputs = {
        name: keras.Input((None, None), dtype="int32", name=name)
        for name in ("code_ids", "stem_ids")
    }
    for name, dtype in VISIT_INPUTS.items():
        inputs[name] = keras.Input((None,), dtype=dtype, name=name)
    for name in ("sex", "birth_day"):
        inputs[name] = keras.Input((), dtype="int32", name=name)
    inputs["query_day"] = keras.Input((None,), dtype="int32", name="query_day")
    return inputs
