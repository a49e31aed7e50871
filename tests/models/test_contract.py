"""What every model must keep: shapes, saving, precision, order, padding, time."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from claimpt_tf.errors import ArtifactError
from claimpt_tf.models.presets import PRESETS, backbone
from claimpt_tf.models.risk_model import risk_model
from tests.models.batch import CODES, STEMS, batch


def states(model: keras.Model, inputs: dict[str, np.ndarray]) -> np.ndarray:
    out = model(inputs, training=False)
    return keras.ops.convert_to_numpy(out["logit"] if isinstance(out, dict) else out)


@pytest.fixture(scope="module", params=["backbone", "risk_model"])
def model(request: pytest.FixtureRequest) -> keras.Model:
    keras.utils.set_random_seed(1)
    network = backbone("tiny", CODES, STEMS)
    return network if request.param == "backbone" else risk_model(network)


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_gives_a_state_for_each_date(preset: str) -> None:
    network = backbone(preset, CODES, STEMS)
    assert network(batch(dates=3)).shape == (4, 3, network.width)


def test_unknown_preset_is_named() -> None:
    with pytest.raises(ArtifactError, match="no preset 'huge'; choose one of paper"):
        backbone("huge", CODES, STEMS)


def test_saved_and_reloaded_model_gives_equal_outputs(
    model: keras.Model, tmp_path
) -> None:
    before = states(model, batch())
    model.save(tmp_path / "model.keras")
    after = states(keras.saving.load_model(tmp_path / "model.keras"), batch())
    np.testing.assert_array_equal(before, after)


def test_config_rebuilds_the_backbone() -> None:
    network = backbone("tiny", CODES, STEMS)
    again = type(network).from_config(network.get_config())
    assert [v.shape for v in again.weights] == [v.shape for v in network.weights]


def test_mixed_precision_stays_close() -> None:
    network = backbone("tiny", CODES, STEMS)
    half = backbone("tiny", CODES, STEMS, dtype="mixed_bfloat16")
    half.set_weights(network.get_weights())
    np.testing.assert_allclose(
        states(half, batch()).astype("float32"), states(network, batch()), atol=0.15
    )


def test_order_of_codes_in_a_visit_changes_nothing(model: keras.Model) -> None:
    inputs = batch()
    turned = {
        name: value[:, :, ::-1] if value.ndim == 3 else value
        for name, value in inputs.items()
    }
    np.testing.assert_allclose(states(model, inputs), states(model, turned), atol=1e-5)


def test_padding_changes_nothing(model: keras.Model) -> None:
    inputs = batch()
    padded = dict(inputs)
    for name, value in inputs.items():
        if name in ("code_ids", "stem_ids"):
            padded[name] = np.pad(value, [(0, 0), (0, 4), (0, 3)])
        elif name in ("visit_type", "visit_day", "visit_length", "log_cost"):
            padded[name] = np.pad(value, [(0, 0), (0, 4)])
    np.testing.assert_allclose(states(model, inputs), states(model, padded), atol=1e-5)


def test_a_visit_known_after_the_date_changes_nothing(model: keras.Model) -> None:
    inputs = batch(visits=8)
    known = inputs["visit_day"] + inputs["visit_length"]
    inputs["query_day"] = known[:, 3:4]
    later = known > inputs["query_day"]
    assert later.any()
    changed = dict(inputs)
    changed["code_ids"] = np.where(later[..., None], 2, inputs["code_ids"])
    changed["visit_type"] = np.where(later, 1, inputs["visit_type"])
    changed["log_cost"] = np.where(later, 9, inputs["log_cost"]).astype("float32")
    np.testing.assert_allclose(states(model, inputs), states(model, changed), atol=1e-6)


def test_an_open_stay_is_not_read(model: keras.Model) -> None:
    """A stay that began before the date but ends after it is not known yet."""
    inputs = batch(visits=4, dates=1)
    inputs["query_day"] = inputs["visit_day"][:, -1:] + 1
    inputs["visit_length"][:, -1] = 5
    changed = {**inputs, "code_ids": inputs["code_ids"].copy()}
    changed["code_ids"][:, -1] = 2
    np.testing.assert_allclose(states(model, inputs), states(model, changed), atol=1e-6)


def test_a_visit_known_before_the_date_matters(model: keras.Model) -> None:
    inputs = batch(dates=1)
    inputs["query_day"][:] = 18100
    changed = {**inputs, "code_ids": np.full_like(inputs["code_ids"], 2)}
    assert np.abs(states(model, inputs) - states(model, changed)).max() > 1e-3


def test_dates_do_not_read_each_other(model: keras.Model) -> None:
    inputs = batch(dates=3)
    alone = {**inputs, "query_day": inputs["query_day"][:, 1:2]}
    np.testing.assert_allclose(
        states(model, inputs)[:, 1:2], states(model, alone), atol=1e-5
    )


def test_empty_history_has_a_finite_state(model: keras.Model) -> None:
    inputs = batch(visits=1)
    for name in ("code_ids", "stem_ids", "visit_type", "visit_day", "visit_length"):
        inputs[name] = np.zeros_like(inputs[name])
    assert np.isfinite(states(model, inputs)).all()
