"""Labels that are not yes or no: each kind learns a planted signal, and reloads."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import polars as pl
import pytest
import tensorflow as tf
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression, Ridge

from claimpt_tf.errors import TaskError
from claimpt_tf.models.presets import backbone
from claimpt_tf.tasks.spec import Task
from claimpt_tf.training.choices import FinetuneConfig
from claimpt_tf.training.endpoints.multi_class import MultiClass
from claimpt_tf.training.endpoints.registry import endpoint_for, endpoint_names
from claimpt_tf.training.endpoints.time_to_event import TimeToEvent
from claimpt_tf.training.finetune_run import finetune_and_score, save_finetuned
from claimpt_tf.training.linear_head import fit_linear_head
from tests.training.transformed import FIRST_DAY, members

ROWS = 240
CLASSES = ("mild", "moderate", "severe")


def task(kind: str) -> Task:
    if kind == "multi_label":
        outcome = {"kind": "next_visit"}
        index = {"kind": "each_visit", "visit": {}, "take": "random"}
        given = {"index": index, "outcome": outcome, "window_days": 365}
        return Task.model_validate({"name": "next", **given})
    classes = CLASSES if kind == "multi_class" else None
    labels = {"kind": kind, "classes": classes}
    return Task.model_validate({"name": "charts", "labels": labels})


def planted(seed: int, rows: int = ROWS) -> tf.data.Dataset:
    """Members whose labels follow from how many of their visits are acute."""
    draw = np.random.default_rng(seed)
    features = members([6] * rows, seed, codes=20)
    acute = draw.integers(0, 3, rows)
    types = np.where(np.arange(6)[None] < 2 * acute[:, None], 1, 3).ravel()
    features["visit_type"] = features["visit_type"].with_values(types)
    days = draw.exponential(300 / (1 + 4 * acute)) + 1
    seen = days < 400
    names = [[b"CCSR:A", b"CCSR:B", b"CCSR:C"][n : n + 2] for n in acute]
    labels = {
        "label": tf.constant(np.where(rows < 0, 0, acute)),
        "seen": tf.constant(seen.astype(np.int64)),
        "number": tf.constant((100 + 50 * acute).astype(np.float32)),
        "days": tf.constant(np.minimum(days, 400).astype(np.float32)),
        "label_categories": tf.ragged.constant(names, dtype=tf.string),
        "label_row": tf.constant(np.arange(rows) + 1),
        "index_day": tf.constant(np.full(rows, FIRST_DAY + 400)),
        "patient_id": tf.constant([f"{seed}-{n:03d}".encode() for n in range(rows)]),
        "visit_outcome": features["visit_day"] * 0,
    }
    return tf.data.Dataset.from_tensors({**features, **labels})


def labelled(kind: str, seed: int) -> tf.data.Dataset:
    """The planted labels in the features that the kind has them in."""
    source = planted(seed)
    if kind == "regression":
        return source.map(lambda x: {**x, "label_value": x["number"]})
    if kind == "time_to_event":
        return source.map(lambda x: {**x, "label": x["seen"], "label_value": x["days"]})
    return source


def network() -> keras.Model:
    keras.utils.set_random_seed(1)
    return backbone("tiny", 30, 30)


def column(kind: str) -> str:
    """The prediction that should rise with the planted signal."""
    return {
        "multi_class": "probability_severe",
        "multi_label": "probability_CCSR:C",
        "regression": "prediction",
        "time_to_event": "risk_180d",
    }[kind]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "recipe"),
    [
        (kind, "labels" if kind == "multi_label" else "head")
        for kind in endpoint_names()
    ],
)
def test_a_planted_signal_is_learned(kind: str, recipe: str, tmp_path: Path) -> None:
    sources = {
        split: labelled(kind, seed)
        for seed, split in enumerate(("train", "eval", "test"))
    }
    config = FinetuneConfig(recipe=recipe, batch_size=16, learning_rate=1e-2)
    made = finetune_and_score(network(), sources, task(kind), config)
    assert made.recipe == recipe
    table = made.predictions
    assert table.columns[:3] == ["patient_id", "index_date", "split"]
    assert table.columns[-1] == "label_row" and table.height == 3 * ROWS
    test = table.filter(pl.col("split") == "test")
    (truth,) = (batch["number"].numpy() for batch in planted(2))
    assert spearmanr(test[column(kind)], truth)[0] > 0.6
    if kind == "regression":
        assert abs(test["prediction"].mean() - truth.mean()) < 10
    if kind == "multi_class":
        chances = test.select(f"probability_{name}" for name in CLASSES)
        np.testing.assert_allclose(chances.sum_horizontal(), 1)
        assert set(test["label"]) == set(CLASSES)
    if kind == "multi_label":
        assert test["label"].list.len().to_list() == [
            2 if n < 200 else 1 for n in truth
        ]

    save_finetuned(made, str(tmp_path))
    again = keras.saving.load_model(tmp_path / "classifier.keras")
    before, after = (m.get_weights() for m in (made.model, again))
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    written = pl.read_parquet(tmp_path / "predictions.parquet")
    assert written.equals(table)


def test_the_linear_head_is_what_it_is_called() -> None:
    """Of a fixed penalty: scikit-learn's multinomial logistic and ridge regression."""
    draw = np.random.default_rng(0)
    state = draw.normal(size=(300, 3))
    state = (state - state.mean(0)) / state.std(0)
    label = (state[:, 0] + draw.normal(size=300) > 0.3).astype(int) + (state[:, 1] > 1)
    patient = np.arange(300)
    endpoint = MultiClass(CLASSES)
    kernel, bias, penalty = fit_linear_head(
        state, label[:, None], patient, 3, endpoint.loss
    )
    theirs = LogisticRegression(C=1 / (300 * penalty), tol=1e-8).fit(state, label)
    np.testing.assert_allclose(kernel.T, theirs.coef_, atol=5e-3)

    number = state @ [1.0, -2.0, 0.0] + draw.normal(size=300)
    kernel, bias, penalty = fit_linear_head(
        state, number[:, None], patient, 1, lambda o, t: (o - t)[:, 0] ** 2 / 2
    )
    ridge = Ridge(alpha=300 * penalty).fit(state, number)
    np.testing.assert_allclose(kernel[:, 0], ridge.coef_, atol=5e-3)
    assert bias[0] == pytest.approx(ridge.intercept_, abs=5e-3)


def test_hazards_are_those_that_events_were_drawn_with() -> None:
    """Half of the rows are censored, and the risk by day 180 is still right."""
    draw = np.random.default_rng(3)
    event = draw.exponential(200, 4000)
    censored = draw.exponential(200, 4000)
    endpoint = TimeToEvent()
    features = {
        "label": tf.constant((event <= censored).astype(np.int64)),
        "label_value": tf.constant(np.minimum(event, censored), tf.float32),
    }
    target = endpoint.targets(features).numpy()
    nothing = np.zeros((4000, 1))
    _, bias, _ = fit_linear_head(nothing, target, np.arange(4000), 5, endpoint.loss)
    risk = endpoint.predictions(bias[None])
    for days in (30, 90, 180, 365):
        expected = 1 - np.exp(-days / 200)
        assert risk[f"risk_{days}d"][0] == pytest.approx(expected, abs=0.025)


def test_labels_that_cannot_be_learned_are_refused() -> None:
    same = {
        "multi_class": "of one class",
        "multi_label": "1 categories came",
        "regression": "are the same number",
        "time_to_event": "no event was seen",
    }
    for kind, message in same.items():
        source = labelled(kind, 0).map(
            lambda x: {
                **x,
                "label": x["label"] * 0,
                "label_value": tf.zeros(tf.shape(x["label"])),
                "label_categories": x["label_categories"].with_values(
                    tf.fill(tf.shape(x["label_categories"].values), "CCSR:A")
                ),
            }
        )
        with pytest.raises(TaskError, match=message):
            endpoint_for(kind).of(task(kind), source)
    with pytest.raises(TaskError, match="'ordinal' cannot be learned; these can"):
        endpoint_for("ordinal")


def test_without_an_eval_split_some_training_members_are_held_out() -> None:
    sources = {"train": labelled("regression", 0), "test": labelled("regression", 2)}
    config = FinetuneConfig(recipe="head", epochs=1)
    chosen = np.arange(ROWS) < 60
    made = finetune_and_score(
        network(), sources, task("regression"), config, labelled=chosen
    )
    assert "a fifth of the labelled training members is held out" in made.notes[0]
    assert made.predictions["split"].unique().sort().to_list() == ["test", "train"]
