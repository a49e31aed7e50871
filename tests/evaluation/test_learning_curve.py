"""Learning curves: each cell sees its shots only, is kept, and is summed up right."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from claimpt_tf.errors import ArtifactError, TaskError
from claimpt_tf.evaluation.baselines import LIGHTGBM, CountMatrices
from claimpt_tf.evaluation.cells import draws_of
from claimpt_tf.evaluation.count_learner import CountLearner
from claimpt_tf.evaluation.learning_curve import compared, learning_curve
from claimpt_tf.tasks.shots import shots


class Noisy:
    """The truth with noise that falls with the number of labels; counts its calls."""

    def __init__(self, name: str, test: pl.DataFrame) -> None:
        self.name, self.risk = name, test["risk"].to_numpy()
        self.seen: list[tuple[int, int]] = []

    def scores(self, chosen, seed):
        self.seen.append((int(chosen.sum()), seed))
        noise = np.random.default_rng(seed).normal(size=len(self.risk))
        logit = np.log(self.risk / (1 - self.risk))
        return 1 / (1 + np.exp(-logit - 20 * noise / np.sqrt(chosen.sum())))


class Constant:
    name = "constant"

    def __init__(self, test: pl.DataFrame) -> None:
        self.rows = test.height

    def scores(self, chosen, seed):
        return np.full(self.rows, chosen.mean())


class Refuses:
    name = "refuses"

    def scores(self, chosen, seed):
        raise TaskError("nothing to learn")


@pytest.fixture(scope="module")
def frames(make_labelled):
    return make_labelled(300, seed=1), make_labelled(250, seed=2)


def test_draws_are_the_shots_of_each_seed(frames) -> None:
    train, _ = frames
    draws = draws_of(train, (8, 16, 9999), (0, 1))
    assert [(d.shots, d.seed) for d in draws] == [
        (8, 0), (8, 1), (16, 0), (16, 1), (None, 0), (None, 1)
    ]  # fmt: skip
    for draw in draws[:4]:
        expected = shots(train, draw.shots, draw.seed).to_numpy()
        np.testing.assert_array_equal(draw.chosen, expected)
    small, large = draws[0].chosen, draws[2].chosen
    assert (large[small]).all() and small.sum() == 8
    balanced = draws_of(train, (8,), (0,), balanced=True)
    labels = train.filter(pl.Series(balanced[0].chosen))["label"]
    assert (len(balanced), labels.sum(), len(labels)) == (1, 8, 16)


def test_figures_are_means_over_seeds_and_cells_are_kept(frames, tmp_path) -> None:
    train, test = frames
    good = Noisy("a / b", test)
    curve = {"shots": (8, 64), "seeds": (0, 1, 2), "n_boot": 60}
    found = learning_curve([good, Refuses()], train, test, tmp_path, **curve)
    auroc = found.filter(pl.col("metric") == "auroc")
    own = auroc.filter(pl.col("model") == "a / b")
    assert own["shots"].to_list() == [8, 64, None]
    assert own["value"][0] < own["value"][1] < own["value"][2]
    points = [
        roc_auc_score(test["label"], Noisy("x", test).scores(np.arange(8) >= 0, seed))
        for seed in range(3)
    ]
    assert own["value"][0] == pytest.approx(np.mean(points))
    assert own["spread"][0] == pytest.approx(np.std(points, ddof=1))
    assert (own["low"] < own["value"]).all() and (own["value"] < own["high"]).all()
    assert own["members"].to_list() == [8, 64, 300]
    assert own["events"][2] == train["label"].sum()
    refused = auroc.filter(pl.col("model") == "refuses")
    assert refused["value"].null_count() == 3
    assert set(refused["reason"]) == {"nothing to learn"}

    calls = len(good.seen)
    again = learning_curve([good, Refuses()], train, test, tmp_path, **curve)
    assert again.equals(found) and len(good.seen) == calls == 9
    more = learning_curve(
        [good], train, test, tmp_path, **{**curve, "shots": (8, 32, 64)}
    )
    assert len(good.seen) == calls + 3
    assert more.filter(pl.col("shots") == 8).equals(
        found.filter((pl.col("shots") == 8) & (pl.col("model") == "a / b"))
    )


def test_few_labels_are_held_against_many_on_the_same_members(frames, tmp_path) -> None:
    train, test = frames
    few, many = Noisy("few", test), Noisy("many", test)
    curve = {"shots": (8,), "seeds": (0, 1, 2), "n_boot": 200}
    found = learning_curve([few, many], train, test, tmp_path, **curve)
    auroc = found.filter(pl.col("metric") == "auroc")
    value = dict(zip(auroc["model"] + auroc["shots"].cast(str).fill_null("all"),
                     auroc["value"], strict=True))  # fmt: skip
    draws = draws_of(train, (8,), (0, 1, 2))
    gap = compared(("few", draws[:3]), ("many", draws[3:]), test, tmp_path)
    assert gap["difference"] == pytest.approx(value["few8"] - value["manyall"])
    assert gap["difference_low"] < gap["difference_high"] < 0 and gap["p"] < 0.05
    same = compared(("few", draws[3:]), ("many", draws[3:]), test, tmp_path)
    assert same["difference"] == 0 and same["p"] == 1
    with pytest.raises(ArtifactError, match="fewer: not trained yet"):
        compared(("fewer", draws[:3]), ("many", draws[3:]), test, tmp_path)


@pytest.mark.slow
def test_two_processes_give_what_one_gives(frames, three_characters, tmp_path) -> None:
    train, test = frames
    learner = CountLearner(LIGHTGBM, CountMatrices.of(train, test, three_characters))
    curve = {"shots": (16,), "seeds": (0,), "n_boot": 20, "balanced": (False, True)}
    one = learning_curve([learner], train, test, tmp_path / "one", **curve)
    two = learning_curve([learner], train, test, tmp_path / "two", processes=2, **curve)
    assert one.equals(two)
    assert one["value"].null_count() == 0


def test_models_are_paired_with_the_first(frames, tmp_path) -> None:
    train, test = frames
    learners = [Noisy("first", test), Noisy("second", test), Constant(test)]
    found = learning_curve(
        learners, train, test, tmp_path, shots=(8,), seeds=(0, 1), n_boot=50
    ).filter((pl.col("metric") == "auroc") & pl.col("shots").is_null())
    value, gap, p = found["value"], found["difference"], found["p"]
    assert gap.to_list() == [None, 0.0, pytest.approx(0.5 - value[0])]
    assert p[1] == 1.0 and p[2] < 0.1


def test_bad_studies_are_refused(frames, tmp_path) -> None:
    train, test = frames
    good = Noisy("good", test)
    learning_curve([good], train, test, tmp_path, shots=(8,), seeds=(0,), n_boot=20)
    with pytest.raises(ArtifactError, match="learning curve of other rows"):
        learning_curve([good], train, test.head(9), tmp_path)
    with pytest.raises(ArtifactError, match="names of their own"):
        learning_curve([good, good], train, test, tmp_path)
    with pytest.raises(TaskError, match="rarest class has"):
        draws_of(train, (9999,), balanced=True)

    class Nan:
        name = "nan"

        def scores(self, chosen, seed):
            return np.full(test.height, np.nan)

    with pytest.raises(ArtifactError, match="nan: 250 of 250 scores are NaN"):
        learning_curve([Nan()], train, test, tmp_path, shots=(8,), seeds=(0,))
