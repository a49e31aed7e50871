from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from claimpt_tf.serving.errors import InferenceError
from claimpt_tf.serving.versions import ModelVersions


@pytest.fixture
def versions(tmp_path: Path) -> Iterator[ModelVersions]:
    (tmp_path / "model").mkdir()
    versions = ModelVersions("claimpt", tmp_path / "model")
    yield versions
    versions.close()


def states(versions: ModelVersions) -> dict[int, str]:
    return {status.version: status.state for status in versions.statuses()}


def test_none_then_one(versions: ModelVersions, saved_models: dict[str, Path]) -> None:
    assert versions.poll() is False
    with (
        pytest.raises(InferenceError, match="no version of the model") as caught,
        versions.lease(),
    ):
        pass
    assert caught.value.code == "UNAVAILABLE"
    shutil.copytree(saved_models["one"], versions.base / "5")
    assert versions.poll() is True
    assert versions.poll() is False
    assert versions.current == 5
    with (
        pytest.raises(InferenceError, match=r"Specific\(claimpt, 6\)") as caught,
        versions.lease(6),
    ):
        pass
    assert caught.value.code == "NOT_FOUND"


def test_the_old_version_answers_until_its_last_request(
    versions: ModelVersions, saved_models: dict[str, Path], examples: list[bytes]
) -> None:
    request = ("serving_default", {"examples": examples})
    shutil.copytree(saved_models["one"], versions.base / "1")
    versions.poll()
    with versions.lease() as (number, old):
        shutil.copytree(saved_models["two"], versions.base / "2")
        assert versions.poll() is False, "its files must rest between two polls"
        assert versions.poll() is True
        assert (number, versions.current) == (1, 2)
        assert states(versions) == {2: "AVAILABLE", 1: "UNLOADING"}
        before = old.run(*request)["probability"]
    assert states(versions) == {2: "AVAILABLE", 1: "END"}
    with versions.lease() as (_, new):
        assert abs(new.run(*request)["probability"] - before).max() > 1e-3


def test_refused_once_and_tried_again_when_mended(
    versions: ModelVersions, saved_models: dict[str, Path]
) -> None:
    shutil.copytree(saved_models["one"], versions.base / "1")
    versions.poll()
    shutil.copytree(saved_models["corrupt"], versions.base / "2")
    for _ in range(4):
        assert versions.poll() is False
    assert versions.current == 1
    refused = versions.statuses()[0]
    assert (refused.version, refused.state) == (2, "END")
    assert refused.error_code == "DATA_LOSS"
    assert "Checksum" in refused.error_message

    shutil.copytree(saved_models["two"], versions.base / "2", dirs_exist_ok=True)
    versions.poll()
    assert versions.poll() is True
    assert versions.current == 2


def test_a_version_that_needs_python_or_fails_its_warm_up_is_refused(
    versions: ModelVersions, saved_models: dict[str, Path]
) -> None:
    shutil.copytree(saved_models["python_op"], versions.base / "1")
    shutil.copytree(saved_models["no_predict"], versions.base / "2")
    shutil.copytree(saved_models["one"] / "assets.extra", versions.base / "2/extra")
    (versions.base / "2/assets.extra/tf_serving_warmup_requests").write_bytes(
        (versions.base / "2/extra/tf_serving_warmup_requests").read_bytes()
    )
    assert versions.poll() is False
    warm, python = versions.statuses()
    assert '"classify" not found in signature def' in warm.error_message
    assert python.error_code == "UNIMPLEMENTED"
    assert "operations that need Python: EagerPyFunc" in python.error_message


def test_deleting_the_newest_rolls_back(
    versions: ModelVersions, saved_models: dict[str, Path]
) -> None:
    for number in ("1", "2"):
        shutil.copytree(saved_models["one"], versions.base / number)
    versions.poll()
    assert versions.current == 2
    shutil.rmtree(versions.base / "2")
    versions.poll()
    versions.poll()
    assert versions.current == 1
    shutil.rmtree(versions.base)
    assert versions.poll() is False
    assert versions.current == 1, "what is loaded goes on serving"


def test_nothing_after_closing(
    versions: ModelVersions, saved_models: dict[str, Path]
) -> None:
    shutil.copytree(saved_models["one"], versions.base / "1")
    versions.poll()
    versions.close()
    assert versions.current is None
    assert versions.poll() is False
