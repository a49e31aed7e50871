"""Model code knows no TensorFlow: the same states on Keras' JAX backend."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from claimpt_tf.models.presets import backbone
from claimpt_tf.models.risk_model import RiskModel
from tests.models.batch import CODES, STEMS, batch

REPOSITORY = Path(__file__).resolve().parent.parent.parent
ON_JAX = """
import sys, jax, keras, numpy as np
from claimpt_tf.models.risk_model import RiskModel
from tests.models.batch import batch
assert keras.backend.backend() == "jax"
folder = sys.argv[1]
inputs = batch()
for preset in sys.argv[2:]:
    model = RiskModel.from_preset(f"{folder}/{preset}")
    trained, fixed = model.trainable_variables, model.non_trainable_variables

    def risk(values):
        frozen = [v.value for v in fixed]
        out, _ = model.stateless_call(values, frozen, inputs, training=True)
        return out["logit"].sum()

    slopes = jax.jit(jax.grad(risk))([v.value for v in trained])
    assert all(bool(np.isfinite(s).all()) for s in slopes)
    np.save(f"{folder}/{preset}.npy", model(inputs)["state"])
"""


@pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="JAX is not installed"
)
@pytest.mark.slow
def test_states_are_those_of_tensorflow(tmp_path: Path) -> None:
    models = {}
    for preset, checkpoint in (("tiny", {"checkpoint": True}), ("paper", {})):
        models[preset] = RiskModel(backbone(preset, CODES, STEMS, **checkpoint))
        models[preset].save_to_preset(str(tmp_path / preset))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ON_JAX, str(tmp_path), *models],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for preset, model in models.items():
        state = keras.ops.convert_to_numpy(model(batch())["state"])
        np.testing.assert_allclose(
            np.load(tmp_path / f"{preset}.npy"), state, rtol=1e-4, atol=1e-4
        )
