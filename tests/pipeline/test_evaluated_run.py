"""`claimpt evaluate` on the network of the pipeline's run: scores, reasons, others."""

from __future__ import annotations

import datetime
import itertools
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.special import logit

from claimpt_tf.errors import ArtifactError, TaskError
from claimpt_tf.evaluation.elsewhere import evaluate_elsewhere
from claimpt_tf.evaluation.evaluate import MODEL, Choices
from claimpt_tf.evaluation.evaluate_run import evaluate_run
from claimpt_tf.evaluation.finetuned_model import FinetunedModel
from claimpt_tf.evaluation.finetuned_run import labelled_rows, read_run
from claimpt_tf.evaluation.network_learner import SAME
from claimpt_tf.evaluation.other_records import Asked, later, strangers
from claimpt_tf.evaluation.run_networks import GRU, PAPER, SCRATCH, network_of
from claimpt_tf.tasks.spec import load_task
from claimpt_tf.training.choices import FinetuneConfig
from claimpt_tf.visits.records import read_records, write_records

pytestmark = pytest.mark.slow
ROWS = {"train": 120, "eval": 60, "test": 120}
CHOICES = Choices(replicates=20, fewest=2, past_windows=False)


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline's network as a run of `claimpt finetune`, with its base."""
    return as_finetuned(run.folder / "artifacts", tmp_path_factory.mktemp("tuned"))


def as_finetuned(artifacts: Path, place: Path) -> Path:
    def only(pattern: str) -> Path:
        return sorted(artifacts.glob(pattern))[0]

    base, tuned = place / "base", place / "run"
    base.mkdir()
    tuned.mkdir()
    (base / "transform").symlink_to(only("Transform/transform_graph/*"))
    for file in only("Pretrainer/model/*/Format-Keras").iterdir():
        (base / file.name).symlink_to(file)
    network = only("Finetuner/model/*/Format-Keras")
    (tuned / "classifier.keras").symlink_to(network / "classifier.keras")
    cohort = only("CohortGen/cohort/*")
    shorten(cohort, tuned / "cohort")
    (tuned / "cohort" / "task.yaml").symlink_to(cohort / "task.yaml")
    predicted = pl.read_parquet(network / "predictions.parquet")
    kept = [
        labelled_rows(tuned / "cohort", split).select(
            "patient_id",
            index_date=pl.col("index_day").cast(pl.Int32).cast(pl.Date),
            split=pl.lit(split),
        )
        for split in ROWS
    ]
    on = ["patient_id", "index_date", "split"]
    predicted.join(pl.concat(kept), on=on).write_parquet(tuned / "predictions.parquet")
    config = FinetuneConfig(epochs=1, recipe="head")
    facts = {
        "task": "asthma_exacerbation", "base": str(base), "shots": None,
        "recipe": "head", "labels": {"kind": "binary"}, "choices": config.model_dump(),
    }  # fmt: skip
    (tuned / "config.json").write_text(json.dumps(facts))
    return tuned


def shorten(records: Path, output: Path) -> None:
    """The first records of each split: counts are fitted in a second."""
    for split, count in ROWS.items():
        (file,) = (records / f"Split-{split}").iterdir()
        first = itertools.islice(read_records([str(file)]), count)
        write_records(list(first), output / f"Split-{split}" / "data_tfrecord-00000.gz")


def test_it_scores_and_explains_what_was_predicted(folder: Path) -> None:
    found, model = read_run(str(folder)), FinetunedModel.load(str(folder))
    rows, scores = model.scores(folder / "cohort", "test")
    assert rows["patient_id"].equals(found.rows["test"]["patient_id"])
    np.testing.assert_allclose(scores, found.scores["test"], atol=1e-5)
    chosen = np.zeros(len(scores), bool)
    chosen[[1, 5]] = True
    told = model.code_shares(folder / "cohort", "test", chosen)
    assert [one.value for one in told] == pytest.approx(scores[chosen], abs=1e-5)
    for one, codes in zip(told, rows["codes"].to_numpy()[chosen], strict=True):
        moved = sum(code.share for code in one.codes) + sum(one.visits.values())
        rare = one.value - one.reference - moved
        given = {code for visit in codes for code in visit}
        assert {code.code for code in one.codes} <= given
        assert len(one.codes) < len(given) or rare == pytest.approx(0, abs=1e-4)


def test_one_command_gives_page_and_reasons(folder: Path, tmp_path: Path) -> None:
    base = read_run(str(folder)).facts["base"]  # any run may stand for the paper's
    found = evaluate_run(
        str(folder), str(tmp_path / "e"), CHOICES, simulated=True, networks=True,
        paper=base,
    )  # fmt: skip
    own, *others = (
        found.models[name]["auroc"].value for name in (MODEL, SCRATCH, GRU, PAPER)
    )
    assert len({own, *others}) == 4 and all(0 < value < 1 for value in others)
    page = (tmp_path / "e" / "report.html").read_text()
    assert all(name in page for name in (SCRATCH, GRU, PAPER))
    assert "In the highest fifth" in page and "Synthetic data" in page
    people = {
        one
        for rows in read_run(str(folder)).rows.values()
        for one in rows["patient_id"].cast(pl.String)
    }
    assert not [one for one in people if one in page]
    assert list((tmp_path / "e" / "logs").iterdir())
    with pytest.raises(ArtifactError, match="holds an evaluation"):
        evaluate_run(str(folder), str(tmp_path / "e"), CHOICES)


def test_a_learner_of_bags_averages_its_networks(folder: Path) -> None:
    found = read_run(str(folder))
    every = np.ones(found.rows["train"].height, bool)

    def scores(bags: int, seed: int) -> np.ndarray:
        config = FinetuneConfig(recipe="head", bags=bags)
        learner = network_of(str(folder), found, "x", fresh=SAME, config=config)
        return logit(learner.scores(every, seed))

    apart = np.stack([scores(1, seed) for seed in (2, 3)])
    assert np.abs(apart[0] - apart[1]).max() > 0.01
    np.testing.assert_allclose(scores(2, 1), apart.mean(axis=0), atol=1e-4)


def test_elsewhere_stands_beside_counts_of_home_and_there(
    folder: Path, run, tmp_path: Path
) -> None:
    (examples,) = run.folder.glob("artifacts/ClaimsExampleGen/examples/*")
    records = tmp_path / "records"
    for split, count in {"train": 150, "eval": 60, "test": 150}.items():
        (records / f"Split-{split}").mkdir(parents=True)
        files = sorted((examples / f"Split-{split}").iterdir())
        first = list(itertools.islice(read_records(files), count))
        write_records(first, records / f"Split-{split}" / files[0].name)
    output = tmp_path / "elsewhere"
    found = evaluate_elsewhere(str(folder), Asked(str(records)), str(output), CHOICES)
    for where in ("at home", "here"):
        figures = found.models[f"LightGBM on counts, trained {where}"]
        assert figures["auroc"].value is not None
    every = json.loads((output / "cohort" / "attrition.json").read_text())
    assert found.n == every["splits"]["test"]["rows"]
    assert "Other records than those" in (output / "report.html").read_text()


def test_only_a_later_date_is_a_split_by_time(folder: Path) -> None:
    found = read_run(str(folder))
    with pytest.raises(TaskError, match="that would be no split by time"):
        later(found, found.task, datetime.date(2022, 1, 1))
    task = later(found, found.task, datetime.date(2090, 1, 1))
    assert str(task.index.since) == "2090-01-01" and task.index.until is None
    assert task.window_days == load_task("asthma_exacerbation").window_days


def test_members_that_were_learned_from_are_known(folder: Path) -> None:
    found = read_run(str(folder))
    assert not strangers(found, found.rows["train"]).any()
    assert strangers(found, found.rows["test"]).all()
    twins = found.rows["train"].with_columns(birth_days=pl.col("birth_days") + 1)
    assert strangers(found, twins).all()  # another person with the same id
