"""Fine-tuning: whose past is used, whose labels, and what is left of them."""

from __future__ import annotations

import datetime
from pathlib import Path

import keras
import numpy as np
import polars as pl
import pytest
import tensorflow as tf
from scipy.special import logit
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from claimpt_tf.errors import TaskError
from claimpt_tf.models.decayed_counts import DecayedCounts
from claimpt_tf.models.presets import backbone
from claimpt_tf.models.risk_model import RiskModel, risk_model
from claimpt_tf.tasks.spec import load_task
from claimpt_tf.training.adaptation import latest_rows
from claimpt_tf.training.adapter import Adapter
from claimpt_tf.training.batches import READ_BATCH, dated_batches
from claimpt_tf.training.choices import FinetuneConfig, Limits, Question
from claimpt_tf.training.finetune import finetune
from claimpt_tf.training.finetune_run import finetune_and_score, save_finetuned
from claimpt_tf.training.kept_scores import KeptScorer
from claimpt_tf.training.scores import Scorer, predictions_table
from claimpt_tf.training.sources import with_rows
from tests.models.cases import stumps
from tests.training.transformed import FIRST_DAY, members

MEMBERS = 24


def labelled(seed: int = 0) -> tf.data.Dataset:
    """Two index dates of each member, the second after half of their visits."""
    features = members([8] * MEMBERS, seed, codes=20)
    draw = np.random.default_rng(seed)
    days = features["visit_day"]
    marks = days.with_values(tf.constant(draw.integers(0, 2, 8 * MEMBERS)))
    names = [f"member{n:02d}".encode() for n in range(MEMBERS)]
    rows = {
        **features,
        "visit_outcome": marks,
        "patient_id": tf.constant(names),
        "label": tf.constant(draw.integers(0, 2, MEMBERS)),
        "label_row": tf.constant(np.full(MEMBERS, -1)),
    }
    early, late = days.to_tensor()[:, 2].numpy(), days.to_tensor()[:, 5].numpy()
    both = {name: tf.concat([value, value], axis=0) for name, value in rows.items()} | {
        "index_day": tf.constant(np.concatenate([late, early]))
    }
    return tf.data.Dataset.from_tensors(both)


def network(**changes: float) -> keras.Model:
    keras.utils.set_random_seed(1)
    return backbone("tiny", 30, 30, **changes)


def test_the_latest_row_of_each_member() -> None:
    source = labelled()
    chosen = latest_rows(source)
    assert chosen.tolist() == [True] * MEMBERS + [False] * MEMBERS
    (kept,) = list(with_rows(source, chosen))
    (given,) = list(source)
    np.testing.assert_array_equal(
        kept["index_day"], given["index_day"].numpy()[:MEMBERS]
    )
    assert kept["visit_day"].to_list() == given["visit_day"][:MEMBERS].to_list()


def test_rows_of_several_batches() -> None:
    days = tf.ragged.range(tf.range(READ_BATCH + 3, dtype=tf.int64) % 4)
    source = tf.data.Dataset.from_tensor_slices({"day": days}).ragged_batch(READ_BATCH)
    chosen = np.zeros(READ_BATCH + 3, bool)
    chosen[[1, READ_BATCH + 1, READ_BATCH + 2]] = True
    found = [row for batch in with_rows(source, chosen) for row in batch["day"]]
    assert [row.numpy().tolist() for row in found] == [
        days[n].numpy().tolist() for n in np.flatnonzero(chosen)
    ]


def test_adaptation_learns_nothing_of_what_follows_the_index_date() -> None:
    """Outcomes after it change no loss, though the record holds them."""
    adapter = Adapter(risk_model(network()), window_days=30)
    cut = {"ahead": 30, "dates": 8, "batch_size": MEMBERS, "limits": Limits()}
    losses, before = [], []
    for inputs in dated_batches(labelled(), seed=4, fixed=True, **cut):
        after = inputs["visit_day"] > inputs["observed_to"][:, None]
        for marks in (inputs["visit_outcome"], tf.where(after, 1, 0)):
            given = {**inputs, "visit_outcome": tf.where(after, marks, 0)}
            losses.append(float(adapter.compute_loss(given, None, adapter(given))))
        flipped = {**inputs, "visit_outcome": 1 - inputs["visit_outcome"]}
        before.append(float(adapter.compute_loss(flipped, None, adapter(flipped))))
        assert bool(tf.reduce_any(after))
    assert losses[0::2] == losses[1::2]
    assert before != losses[0::2]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["adapt", "labels"])
def test_labels_that_may_not_be_used_are_not(recipe: str) -> None:
    """Every label but the chosen ones is turned round, and the scores stay."""
    config = FinetuneConfig(recipe=recipe, epochs=1, batch_size=16, dates=4)
    chosen = np.zeros(2 * MEMBERS, bool)
    chosen[::3] = True

    def turned(features: dict) -> dict:
        label = features["label"]
        return {**features, "label": tf.where(chosen, label, 1 - label)}

    logits = []
    for train in (labelled(), labelled().map(turned)):
        model, followed, scorer = finetune(
            network(), train, labelled(9), Question(30), config, labelled=chosen
        )
        assert followed == recipe
        logits.append(scorer(labelled(5)).logit)
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-6)


@pytest.mark.slow
def test_a_bag_is_the_mean_of_its_networks(tmp_path: Path) -> None:
    """As it is saved: calibrated, and of the seeds that follow each other."""
    config = FinetuneConfig(recipe="labels", epochs=1, batch_size=16, seed=3, bags=2)
    sources = {"train": labelled(), "eval": labelled(9)}
    task = load_task("asthma_exacerbation")
    made = finetune_and_score(network(dropout=0.0), sources, task, config)
    save_finetuned(made, str(tmp_path))
    loaded = keras.saving.load_model(tmp_path / "classifier.keras")

    def logits(model: keras.Model) -> np.ndarray:
        scorer = Scorer(model, config.limits)
        return np.concatenate([scorer(one).logit for one in sources.values()])

    found = logit(made.predictions["probability"].to_numpy())
    np.testing.assert_allclose(logits(loaded), found, atol=1e-4)
    first, second = (logits(loaded.get_layer(f"member_{n}")) for n in range(2))
    np.testing.assert_allclose((first + second) / 2, found, atol=1e-4)
    alone = finetune_and_score(
        network(dropout=0.0), sources, task, config.model_copy(update={"bags": 1})
    )
    # The first is the network of the seed, but for the calibration, which is a line.
    own = logit(alone.predictions["probability"].to_numpy())
    slope, shift = np.polyfit(own, first, 1)
    np.testing.assert_allclose(first, slope * own + shift, atol=1e-4)
    assert np.abs(np.corrcoef(first, second)[0, 1]) < 0.999


def test_one_class_is_refused() -> None:
    source = labelled()
    (rows,) = list(source)
    chosen = rows["label"].numpy() == 1
    with pytest.raises(TaskError, match="training labels are the same"):
        finetune(
            network(), source, source, Question(30), FinetuneConfig(), labelled=chosen
        )


def test_scores_follow_the_weights_and_fill_the_table() -> None:
    model = risk_model(network())
    scorer = Scorer(model, Limits())
    first = scorer(labelled())
    model.get_layer("risk_head").shift.assign_add(1.0)
    second = scorer(labelled())
    np.testing.assert_allclose(second.logit, first.logit + 1.0, atol=1e-5)
    table = predictions_table({"train": first, "test": second})
    assert table.columns == [
        "patient_id", "index_date", "split", "probability", "label", "label_row",
    ]  # fmt: skip
    assert table.height == 4 * MEMBERS
    assert table["label_row"].null_count() == table.height
    epoch = datetime.date(1970, 1, 1)
    assert table["index_date"].min() > epoch + datetime.timedelta(FIRST_DAY)
    np.testing.assert_allclose(
        table.filter(pl.col("split") == "test")["probability"],
        1 / (1 + np.exp(-second.logit.astype(float))),
    )


@pytest.mark.parametrize("with_trees", [False, True])
def test_kept_rows_are_scored_as_anew_whatever_the_head(with_trees: bool) -> None:
    draw = np.random.default_rng(0)
    counts, trees = (DecayedCounts(30, 8), stumps(None)) if with_trees else (None, None)
    if with_trees:
        counts.build()
        counts.column_of.assign(draw.integers(-1, 8, counts.column_of.shape))
    model = RiskModel(network(), counts=counts, trees=trees)
    kept, anew = KeptScorer(model, Limits(), labelled()), Scorer(model, Limits())
    head = model.get_layer("risk_head")
    found = [kept(model).logit]
    for tree_scale in (0.0, 2.0) if with_trees else (0.0,):
        head.tree_scale.assign(tree_scale)
        head.shift.assign(0.7)
        head.correction.assign(draw.normal(size=head.correction.shape))
        rows, wanted = kept(model), anew(labelled())
        np.testing.assert_allclose(rows.logit, wanted.logit, atol=1e-5)
        np.testing.assert_array_equal(rows.label, wanted.label)
        assert np.abs(rows.logit - found[-1]).min() > 0
        found.append(rows.logit)


@pytest.mark.slow
def test_layers_are_thawed_from_the_head_down(tmp_path: Path) -> None:
    """After one epoch of gradual unfreezing only the head has moved."""
    before = network()
    config = FinetuneConfig(
        recipe="labels", epochs=1, batch_size=16, unfreeze=True, schedule="slanted",
        seed=0,
    )  # fmt: skip
    model, _, _ = finetune(
        network(), labelled(), labelled(9), Question(30), config, str(tmp_path)
    )
    for old, new in zip(before.weights, model.backbone.weights, strict=True):
        np.testing.assert_array_equal(old, new, err_msg=new.path)
    events = EventAccumulator(str(tmp_path / "train"), size_guidance={"tensors": 0})
    rates = {
        tag for tag in events.Reload().Tags()["tensors"] if "learning_rate/" in tag
    }
    assert rates == {f"learning_rate/{n}" for n in ("head", "block_0", "embeddings")}
