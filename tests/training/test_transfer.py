"""A network goes on with codes that are new to it; what it knew stays."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from claimpt_tf.errors import ArtifactError
from claimpt_tf.models.presets import backbone
from claimpt_tf.training.targets import Targets
from claimpt_tf.training.transfer import Base, Continuation, same_preset
from claimpt_tf.visits.ids import FIRST_CODE, UNKNOWN
from tests.models.batch import batch

OLD = ["ICD10CM:J4520", "ICD10CM:J4530", "ICD10CM:E119", "HCPCS:99213"]
NEW = ["ICD10CM:J4599", "ICD10CM:J459", "ICD10CM:E139", "LOCAL:X1"]
OLD_STEMS = ["ICD10CM:J45", "ICD10CM:E11", "HCPCS:992"]
NEW_STEMS = ["ICD10CM:E13", "LOCAL:X1"]
TARGETS = Targets(
    ["CCSR:RSP009", "CCSR:RSP009@acute"],
    [-1, -1, -1, 0, 0, -1, -1],
    [-1, -1, -1, 1, 1, -1, -1],
)


def base(preset: str) -> Base:
    keras.utils.set_random_seed(3)
    network = backbone(preset, FIRST_CODE + len(OLD), FIRST_CODE + len(OLD_STEMS))
    return Base("run_a", preset, network, OLD, OLD_STEMS, TARGETS)


@pytest.mark.parametrize("preset", ["tiny", "paper"])
def test_what_the_base_knew_is_unchanged(preset: str) -> None:
    given = base(preset)
    grown = Continuation(given, OLD + NEW, OLD_STEMS + NEW_STEMS).network("float32")
    assert grown.codes == FIRST_CODE + len(OLD + NEW)
    inputs = batch()
    for name, known in (("code_ids", OLD), ("stem_ids", OLD_STEMS)):
        inputs[name] %= FIRST_CODE + len(known)
    np.testing.assert_array_equal(given.network(inputs), grown(inputs))

    old = np.asarray(given.network.get_layer("visit_embedding").code.embeddings)
    new = np.asarray(grown.get_layer("visit_embedding").code.embeddings)
    np.testing.assert_array_equal(new[: len(old)], old)
    asthma = old[FIRST_CODE : FIRST_CODE + 2].mean(axis=0)
    np.testing.assert_allclose(new[len(old)], asthma, rtol=1e-6)
    np.testing.assert_allclose(new[len(old) + 1], asthma, rtol=1e-6)
    np.testing.assert_allclose(new[len(old) + 3], old[UNKNOWN])


def test_targets_grow_and_keep_their_order() -> None:
    codes = OLD + NEW
    none = [-1] * (FIRST_CODE + len(codes))
    found = Targets(["CCSR:END002", "CCSR:RSP009", "CCSR:END002@acute"], none, none)
    grown = Continuation(base("tiny"), codes, OLD_STEMS + NEW_STEMS).targets(found)
    assert grown.names == [
        "CCSR:RSP009", "CCSR:END002", "CCSR:RSP009@acute", "CCSR:END002@acute",
    ]  # fmt: skip
    assert grown.categories == 2
    assert grown.anywhere[FIRST_CODE:] == [0, 0, 1, -1, 0, 0, 1, -1]
    assert grown.acute[FIRST_CODE:] == [2, 2, 3, -1, 2, 2, 3, -1]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ArtifactError, match="does not begin with that of run_a"):
        Continuation(base("tiny"), NEW + OLD, OLD_STEMS)
    with pytest.raises(ArtifactError, match="preset tiny, not small: leave --preset"):
        same_preset(base("tiny"), "small")
    with pytest.raises(ArtifactError, match="nowhere holds no finished run"):
        Base.load("nowhere")
