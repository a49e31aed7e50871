from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from claimpt_tf.errors import ArtifactError
from claimpt_tf.serving.check import check_servable
from claimpt_tf.serving.cpp_loader import score_with_cpp_loader
from claimpt_tf.serving.warmup import WARMUP_FILE


def test_a_model_fit_to_serve(
    saved_models: dict[str, Path], examples: list[bytes]
) -> None:
    scores = score_with_cpp_loader(saved_models["one"], examples)
    many = examples * 9  # more than one batch

    check = check_servable(
        saved_models["one"], many, list(scores) * 9, latency_budget_ms=10_000
    )

    assert check.problems == [] and check.ok
    assert check.members == 72
    assert check.signatures == ["classify", "predict", "regress", "serving_default"]
    assert check.loader_difference is not None and check.loader_difference <= 1e-6
    assert check.signature_difference is not None
    assert check.expected_difference is not None
    assert check.warmup_requests == 8
    assert check.latency_p50_ms is not None and check.latency_p99_ms is not None
    assert 0 < check.latency_p50_ms <= check.latency_p99_ms
    assert json.loads(json.dumps(check.to_dict()))["ok"] is True


def test_a_python_op_is_reported(
    saved_models: dict[str, Path], examples: list[bytes]
) -> None:
    check = check_servable(saved_models["python_op"], examples)
    assert check.python_ops == ["EagerPyFunc"]
    assert "it holds operations that need Python: EagerPyFunc" in check.problems
    assert not check.ok


def test_signatures_that_disagree_and_wrong_scores(
    saved_models: dict[str, Path], examples: list[bytes]
) -> None:
    check = check_servable(
        saved_models["disagreeing"],
        examples,
        [0.5] * 8,
        latency_budget_ms=0.0001,
    )
    told = "\n".join(check.problems)
    assert "serving_default against predict: scores differ by up to 0.0" in told
    assert "the trained model against the served one: scores differ" in told
    assert "the budget is 0.0001 ms" in told
    assert len(check.problems) == 3
    short = check_servable(saved_models["one"], examples, [0.5])
    assert any("there must be one a member" in p for p in short.problems)


def test_what_does_not_load_is_a_problem_not_an_error(
    saved_models: dict[str, Path], examples: list[bytes]
) -> None:
    check = check_servable(saved_models["corrupt"], examples)
    assert len(check.problems) == 1
    assert "DATA_LOSS" in check.problems[0]
    assert check.load_seconds is None


def test_a_missing_signature_and_no_warm_up(
    saved_models: dict[str, Path], examples: list[bytes], tmp_path: Path
) -> None:
    shutil.copytree(saved_models["no_predict"], tmp_path / "7")
    (tmp_path / "7" / WARMUP_FILE).unlink()
    check = check_servable(tmp_path, examples)
    assert check.model_dir == str(tmp_path / "7")
    assert check.problems == [
        "the signature 'predict' is missing",
        f"{WARMUP_FILE} is missing, or holds no request",
    ]


def test_nothing_to_check(
    saved_models: dict[str, Path], examples: list[bytes], tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match="no records to check"):
        check_servable(saved_models["one"], [])
    with pytest.raises(ArtifactError, match="neither saved_model.pb nor"):
        check_servable(tmp_path, examples)
