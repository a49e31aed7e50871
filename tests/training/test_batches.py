"""An epoch is a function of seed and number, and every member is in it once."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from claimpt_tf.training.batches import (
    batch_count,
    batches_from,
    labelled_batches,
    labelled_steps,
)
from claimpt_tf.training.choices import Limits
from tests.training.transformed import source

LENGTHS = [0, 3, 40, 5, 12, 1, 0, 7, 9, 2, 30, 22, 4]
BATCHES = 6  # an epoch of twice these members, four a batch


def run(start: int = 0, epoch: int = 0, take: int = 0, seed: int = 7) -> list[dict]:
    made = batches_from(
        source(LENGTHS).concatenate(source(LENGTHS, 1)),
        epoch=epoch,
        start=start,
        steps=BATCHES,
        ahead=30,
        dates=3,
        batch_size=4,
        limits=Limits(visits=16, codes=4),
        seed=seed,
    )
    return [{k: v.numpy() for k, v in batch.items()} for batch in made.take(take)]


def same(one: list, other: list) -> bool:
    return len(one) == len(other) and all(
        np.array_equal(a[name], b[name])
        for a, b in zip(one, other, strict=True)
        for name in a
    )


@pytest.fixture(scope="module")
def two_epochs() -> list[dict[str, np.ndarray]]:
    return run(take=2 * BATCHES)


def test_every_member_with_a_visit_once_an_epoch(two_epochs: list) -> None:
    want = np.concatenate(
        [
            features["birth_day"].numpy()[np.array(LENGTHS) > 0]
            for seed in (0, 1)
            for features in source(LENGTHS, seed)
        ]
    )
    for epoch in (two_epochs[:BATCHES], two_epochs[BATCHES:]):
        births = np.concatenate([batch["birth_day"] for batch in epoch])
        assert sorted(births) == sorted(want)
    both = source(LENGTHS).concatenate(source(LENGTHS, 1))
    assert batch_count(both, 4) == (BATCHES, len(want), 2 * sum(LENGTHS))


def test_goes_on_where_it_was_left(two_epochs: list) -> None:
    assert same(run(start=2, take=2 * BATCHES - 2), two_epochs[2:])
    assert same(run(epoch=1, start=3, take=3), two_epochs[BATCHES + 3 :])


def test_epochs_and_seeds_differ(two_epochs: list) -> None:
    assert not same(two_epochs[:BATCHES], two_epochs[BATCHES:])
    assert not same(run(take=BATCHES, seed=8), two_epochs[:BATCHES])


def test_batches_hold_members_of_similar_length() -> None:
    lengths = list(np.random.default_rng(0).integers(1, 60, 256))
    made = batches_from(
        source(lengths), epoch=0, start=0, steps=16, ahead=30, dates=1, batch_size=16,
        limits=Limits(64, 4), seed=1,
    )  # fmt: skip
    real = padded = 0
    for batch in made.take(16):
        real += int(tf.math.count_nonzero(batch["visit_type"]))
        padded += int(tf.size(batch["visit_type"]))
    assert real == sum(lengths)
    assert padded < 1.35 * real  # shuffled ones: 1.9


def test_labelled_rows_go_on_where_they_stopped() -> None:
    """Every row is in every epoch, those without a visit too."""
    rows = len(LENGTHS)
    labelled = source(LENGTHS).map(
        lambda x: {
            **x,
            "index_day": tf.fill([rows], tf.constant(17100, tf.int64)),
            "label": tf.range(rows),
        }
    )
    steps = labelled_steps(labelled, 4)
    assert steps == 4

    def made(epoch: int, start: int, take: int) -> list[dict]:
        batches = labelled_batches(
            labelled,
            targets=lambda x: tf.cast(x["label"], tf.float32)[:, None],
            epoch=epoch,
            start=start,
            steps=steps,
            batch_size=4,
            limits=Limits(visits=16, codes=4),
            seed=7,
        )
        return [
            {k: v.numpy() for k, v in batch.items()} for batch in batches.take(take)
        ]

    whole = made(0, 0, 2 * steps)
    assert same(whole[3:], made(0, 3, 5)) and same(whole[4:], made(1, 0, 4))
    epochs = [
        np.concatenate([batch["target"][:, 0] for batch in part])
        for part in (whole[:4], whole[4:])
    ]
    assert [sorted(each) for each in epochs] == [list(range(rows))] * 2
    assert not np.array_equal(*epochs)
