"""What every layer and model keeps: shapes, saving, precision, order, padding, time."""

from __future__ import annotations

import inspect
from functools import cache

import keras
import numpy as np
import pytest

from claimpt_tf.errors import ArtifactError
from claimpt_tf.models.presets import PRESETS, backbone
from claimpt_tf.models.risk_model import RiskModel
from claimpt_tf.models.timeline_backbone import TimelineBackbone
from tests.models.batch import CODES, STEMS, batch
from tests.models.cases import (
    CASES,
    Arrays,
    Case,
    arguments,
    by_position,
    discovered,
    outputs_of,
)

VISITS = ("visit_type", "visit_day", "visit_length", "log_cost")
CODED = ("code_ids", "stem_ids")


def test_no_layer_or_model_is_forgotten() -> None:
    missing = set(discovered()) - set(CASES)
    assert not missing, f"give tests/models/cases.py a case for {sorted(missing)}"


@cache
def made(name: str) -> keras.Layer:
    keras.utils.set_random_seed(1)
    case = CASES[name]
    layer = case.make("float32")
    outputs_of(case, layer, batch())
    for weight in layer.weights:  # none may keep a start that hides a part, such as 0
        noise = keras.random.normal(weight.shape, stddev=0.05, seed=len(weight.path))
        weight.assign_add(noise)
    return layer


@pytest.fixture(scope="module", params=CASES)
def sample(request: pytest.FixtureRequest) -> tuple[Case, keras.Layer]:
    return CASES[request.param], made(request.param)


def same(case: Case, layer: keras.Layer, one: Arrays, other: Arrays, until=None) -> int:
    """Compares outputs at real positions up to a day; counts them."""
    count = 0
    results = (outputs_of(case, layer, inputs) for inputs in (one, other))
    for kind, a, b in zip(case.gives.split(), *results, strict=True):
        rows = []
        for out, inputs in ((a, one), (b, other)):
            values, day, real = by_position(kind, out, inputs)
            kept = real if until is None else real & (day <= until)
            rows.append(values[kept].astype("float32"))
        np.testing.assert_allclose(*rows, atol=2e-5, rtol=1e-5)
        count += len(rows[0])
    return count


def test_declared_shapes_are_the_real_ones(sample) -> None:
    case, layer = sample
    got = [out.shape for out in outputs_of(case, layer, batch())]
    if not case.reads:
        shapes = layer.output_shape
        if isinstance(layer.output, dict):
            shapes = [layer.output[name].shape for name in sorted(layer.output)]
    else:
        given = arguments(batch())
        shapes = [given[name].shape for name in case.reads.split()]
        declared = inspect.signature(layer.compute_output_shape).parameters.values()
        rest = any(p.kind == p.VAR_POSITIONAL for p in declared)
        wanted = len(shapes) if rest else len(declared)
        shapes = layer.compute_output_shape(*shapes[:wanted])
    shapes = shapes if isinstance(shapes[0], (tuple, list)) else [shapes]
    for shape, real in zip(shapes, got, strict=True):
        assert len(shape) == len(real)
        assert all(d in (None, r) for d, r in zip(shape, real, strict=True))


def test_config_rebuilds_it(sample) -> None:
    case, layer = sample
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(layer)
    )
    if type(layer).__module__.startswith("claimpt_tf"):
        assert again.get_config() == layer.get_config()
    outputs_of(case, again, batch())
    again.set_weights(layer.get_weights())
    for a, b in zip(
        outputs_of(case, layer, batch()), outputs_of(case, again, batch()), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_saved_and_reloaded_it_gives_equal_outputs(sample, tmp_path) -> None:
    case, layer = sample
    model = layer
    if case.reads:
        given = arguments(batch())
        inputs = [
            keras.Input(given[name].shape[1:], dtype=given[name].dtype.name, name=name)
            for name in case.reads.split()
        ]
        model = keras.Model(inputs, layer(*inputs))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    if case.reads:
        (again,) = (part for part in again.layers if isinstance(part, type(layer)))
    for a, b in zip(
        outputs_of(case, layer, batch()), outputs_of(case, again, batch()), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_mixed_precision_stays_close(sample) -> None:
    case, layer = sample
    half = case.make("mixed_bfloat16")
    outputs_of(case, half, batch())
    half.set_weights(layer.get_weights())
    low, full = (outputs_of(case, one, batch()) for one in (half, layer))
    if not case.reads:
        assert low[0].dtype.name == "bfloat16"
    for one, other in zip(low, full, strict=True):
        if other.dtype.kind == "f":
            off = np.abs(one.astype("float32") - other) / max(np.abs(other).max(), 1.0)
            assert off.mean() < 0.02 and off.max() < 0.15
        else:
            np.testing.assert_array_equal(one, other)


def test_order_of_codes_in_a_visit_changes_nothing(sample) -> None:
    inputs = batch()
    turned = {
        name: value[:, :, ::-1] if name in CODED else value
        for name, value in inputs.items()
    }
    assert same(*sample, inputs, turned)


def test_padding_changes_nothing(sample) -> None:
    inputs = batch()
    padded = dict(inputs)
    for name, value in inputs.items():
        if name in CODED:
            padded[name] = np.pad(value, [(0, 0), (0, 4), (0, 3)])
        elif name in VISITS:
            padded[name] = np.pad(value, [(0, 0), (0, 4)])
    assert same(*sample, inputs, padded)


def test_a_later_visit_changes_nothing_earlier(sample) -> None:
    """Neither another content, nor another day, nor its absence."""
    inputs = batch(visits=8)
    known = inputs["visit_day"] + inputs["visit_length"]
    inputs["query_day"][:] = 17600 + np.arange(inputs["query_day"].shape[1]) * 100
    until = 17650
    later = known > until
    assert later.any() and not later.all()
    changed = dict(inputs)
    changed["code_ids"] = np.where(later[..., None], 2, inputs["code_ids"])
    changed["stem_ids"] = np.where(later[..., None], 3, inputs["stem_ids"])
    changed["log_cost"] = np.where(later, 9, inputs["log_cost"]).astype("float32")
    moved = {**changed, "visit_day": inputs["visit_day"] + 40 * later}
    gone = {**changed, "visit_type": np.where(later, 0, inputs["visit_type"])}
    for other in (changed, moved, gone):
        other = {
            n: v if v.dtype.kind == "f" else v.astype("int32") for n, v in other.items()
        }
        assert same(*sample, inputs, other, until)


MODELS = {name: case for name, case in CASES.items() if not case.reads}


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> tuple[Case, keras.Layer]:
    return MODELS[request.param], made(request.param)


def test_an_open_stay_is_not_read(model) -> None:
    """A stay that began before the date but ends after it is not known yet."""
    inputs = batch(visits=4, dates=1)
    inputs["query_day"] = inputs["visit_day"][:, -1:] + 1
    inputs["visit_length"][:, -1] = 5
    changed = {**inputs, "code_ids": inputs["code_ids"].copy()}
    changed["code_ids"][:, -1] = 2
    before, after = (outputs_of(*model, i)[0] for i in (inputs, changed))
    np.testing.assert_allclose(before, after, atol=1e-6)


def test_a_visit_known_before_the_date_matters(model) -> None:
    inputs = batch(dates=1)
    inputs["query_day"] = (inputs["visit_day"] + inputs["visit_length"])[:, -1:] + 9
    changed = {**inputs, "code_ids": np.full_like(inputs["code_ids"], 2)}
    before, after = (outputs_of(*model, i)[0] for i in (inputs, changed))
    assert np.abs(before - after).max() > 1e-4


def test_dates_do_not_read_each_other(model) -> None:
    inputs = batch(dates=3)
    alone = {**inputs, "query_day": inputs["query_day"][:, 1:2]}
    both, one = (outputs_of(*model, i)[0] for i in (inputs, alone))
    np.testing.assert_allclose(both[:, 1:2], one, atol=1e-5)


def test_empty_history_has_a_finite_state(model) -> None:
    inputs = batch(visits=1)
    for name in (*CODED, *VISITS):
        inputs[name] = np.zeros_like(inputs[name])
    assert np.isfinite(outputs_of(*model, inputs)[0]).all()


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_gives_a_state_for_each_date(preset: str) -> None:
    network = backbone(preset, CODES, STEMS)
    assert network(batch(dates=3)).shape == (4, 3, network.width)


def test_unknown_preset_is_named(tmp_path) -> None:
    with pytest.raises(ArtifactError, match="no preset 'huge'; choose one of paper"):
        backbone("huge", CODES, STEMS)
    with pytest.raises(ArtifactError, match="no preset of TimelineBackbone"):
        RiskModel.from_preset(str(tmp_path))


@pytest.mark.parametrize("name", ["RiskModel", "RiskModel on PaperBackbone"])
def test_preset_folder_gives_the_same_model(name, tmp_path) -> None:
    model = made(name)
    model.save_to_preset(str(tmp_path))
    inputs = batch()
    again = RiskModel.from_preset(str(tmp_path))
    np.testing.assert_array_equal(again(inputs)["logit"], model(inputs)["logit"])
    alone = TimelineBackbone.from_preset(str(tmp_path))
    np.testing.assert_array_equal(alone(inputs), model(inputs)["state"])
