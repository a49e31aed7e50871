"""The preset `paper` is the published network."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from claimpt_tf.models.classification_head import ClassificationHead
from claimpt_tf.models.observation_year import ObservationYear
from claimpt_tf.models.paper_backbone import PaperBackbone
from claimpt_tf.models.paper_embedding import PaperEmbedding
from claimpt_tf.models.presets import backbone
from claimpt_tf.training.objectives import default_mix
from claimpt_tf.training.pretrainer import Pretrainer
from claimpt_tf.training.targets import Targets
from tests.models.batch import CODES, STEMS, batch

PUBLISHED_CODES, CATEGORIES = 49_836, 3_357


def test_parameters_are_the_published_number() -> None:
    """docs/models.md adds them up by hand."""
    embeddings = (24 + PUBLISHED_CODES + 366 + 4) * 100
    encoder = (3 + 2) * 100 * 100 + 2 * 2 * 100
    dense = 100 * 100 + 100
    assert embeddings + encoder + dense + 2 * (101 * CATEGORIES) == 5_761_614

    network = backbone("paper", PUBLISHED_CODES, stems=0)
    of_code = np.arange(PUBLISHED_CODES) % CATEGORIES
    names = [f"category {n}" for n in range(CATEGORIES)]
    targets = Targets(names, of_code.tolist(), [-1] * PUBLISHED_CODES)
    pretrainer = Pretrainer(network, targets, default_mix("paper"))
    assert pretrainer.count_params() == 5_761_614
    head = ClassificationHead(100)
    head.build(network.output_shape)
    assert pretrainer.count_params() + head.count_params() == 5_771_815


def test_a_year_is_cut_to_the_earliest_or_the_latest_visits() -> None:
    known = np.array([[10, 100, 200, 300, 374, 375, 376]], "int32")
    padded = np.array([[False, False, True, False, False, False, False]])
    asked = np.array([[375, 374, 9]], "int32")
    kept = {
        keep: ObservationYear(2, keep)(known, padded, asked)
        for keep in ("earliest", "latest")
    }
    # Day 10 is the 366th day back from 375, and the year's first from 374.
    np.testing.assert_array_equal(kept["earliest"], [[[1, 3], [0, 1], [-1, -1]]])
    np.testing.assert_array_equal(kept["latest"], [[[4, 5], [3, 4], [-1, -1]]])


def test_dates_ages_and_utilisation_have_the_published_ids() -> None:
    """Each table holds its row numbers, so that the sum tells who was looked up."""
    layer = PaperEmbedding(CODES, width=1)
    layer.build()
    layer.code.embeddings.assign(np.zeros((CODES, 1)))
    layer.demographic.embeddings.assign(np.arange(24)[:, None])
    layer.date.embeddings.assign(np.arange(366)[:, None] * 100)
    layer.utilisation.embeddings.assign(np.arange(4)[:, None])
    known = np.array([[636, 700, 800, 900, 1000]], "int32")
    tokens = layer(
        np.full((1, 5, 1), 7, "int32"),
        np.array([[1, 2, 3, 4, 5]], "int32"),  # IP, ED, OP, RX, OTHER
        known,
        np.array([[[0, 1, 2, 3, 4]]], "int32"),
        np.array([[1000]], "int32"),
        np.array([2], "int32"),
        np.array([1000 - 365 * 9 - 5], "int32"),
    )
    person, *visits = keras.ops.convert_to_numpy(tokens)[0, 0, :, 0]
    assert person == 2 + (3 + 9)  # male, nine years old
    assert visits == [101, 6503, 16503, 26502, 36503]


def test_who_is_older_than_the_vocabulary_counts_as_its_oldest() -> None:
    network = PaperBackbone(CODES, width=8)
    inputs = batch()
    inputs["query_day"][:] = inputs["query_day"].max()
    old, older = (
        network({**inputs, "birth_day": np.full(4, -day, "int32")})
        for day in (0, 20_000)
    )
    np.testing.assert_array_equal(old, older)


def test_padding_is_masked_in_attention_and_in_sums() -> None:
    """With 30 x 10 filled up by padding the state is that of the visits alone."""
    network = backbone("paper", CODES, STEMS)
    inputs = batch(visits=4, codes=3)
    full = dict(inputs)
    for name, value in inputs.items():
        if value.ndim == 3:
            full[name] = np.pad(value, [(0, 0), (0, 26), (0, 7)])
        elif name in ("visit_type", "visit_day", "visit_length", "log_cost"):
            full[name] = np.pad(value, [(0, 0), (0, 26)])
    np.testing.assert_allclose(network(full), network(inputs), atol=1e-5)
    # What a padded place holds by accident is not read either.
    full["visit_day"][:, 4:] = inputs["visit_day"][:, -1:]
    full["code_ids"][:, 4:] = 9
    np.testing.assert_allclose(network(full), network(inputs), atol=1e-5)


def test_earliest_and_latest_differ_only_in_longer_years() -> None:
    inputs = batch(visits=6)
    inputs["visit_day"][:] = 17000 + 10 * np.arange(6)
    inputs["query_day"][:] = 17100
    states = {}
    for visits in (4, 6):
        for keep in ("earliest", "latest"):
            keras.utils.set_random_seed(4)
            network = PaperBackbone(CODES, width=8, visits=visits, keep=keep)
            states[visits, keep] = keras.ops.convert_to_numpy(network(inputs))
    np.testing.assert_allclose(states[6, "earliest"], states[6, "latest"], atol=1e-6)
    assert np.abs(states[4, "earliest"] - states[4, "latest"]).max() > 1e-3


def test_keep_is_checked() -> None:
    with pytest.raises(ValueError, match="earliest or latest, not 'newest'"):
        PaperBackbone(CODES, keep="newest")
