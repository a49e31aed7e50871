"""Checkpoints: whole or not at all, and refused where they do not fit."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from claimpt_tf.errors import ArtifactError
from claimpt_tf.training.checkpoints import CheckpointFile, named, restore


def variables(rows: int = 4) -> list[keras.Variable]:
    draw = np.random.default_rng(rows)
    return [
        keras.Variable(draw.normal(size=(rows, 2)), name="table"),
        keras.Variable(draw.normal(size=3), name="bias"),
    ]


def write(path: Path, minutes: float = 0.0) -> list[keras.Variable]:
    given = variables()
    file = CheckpointFile(
        str(path), {"choices": {"seed": 7, "preset": "tiny"}}, minutes
    )
    file.write({"step": 3}, [(n, v.numpy()) for n, v in named("model", given)])
    return given


def test_gives_back_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    given = write(path)
    found = CheckpointFile(str(path), {"choices": {"seed": 7, "preset": "tiny"}}).read()
    assert found is not None and found.facts == {"step": 3}
    again = [keras.Variable(np.zeros(v.shape), name=v.name) for v in given]
    restore(named("model", again), found.arrays, str(path))
    for a, b in zip(given, again, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.npz"]


def test_another_run_is_refused_with_what_differs(tmp_path: Path) -> None:
    write(tmp_path / "checkpoint.npz")
    other = {"choices": {"seed": 8, "preset": "tiny"}}
    with pytest.raises(ArtifactError, match="seed was 7 and is 8.*--output"):
        CheckpointFile(str(tmp_path / "checkpoint.npz"), other).read()


def test_another_architecture_is_refused_and_nothing_assigned(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    write(path)
    found = CheckpointFile(str(path), {"choices": {"seed": 7, "preset": "tiny"}}).read()
    assert found is not None
    wider = [*variables(9), keras.Variable(np.zeros(5), name="head")]
    before = [v.numpy() for v in wider]
    with pytest.raises(
        ArtifactError,
        match=r"another architecture: .*table has shape \(4, 2\), not \(9, 2\); "
        r".*head \(5,\) is not in it. Use the preset",
    ):
        restore(named("model", wider), found.arrays, str(path))
    for a, v in zip(before, wider, strict=True):
        np.testing.assert_array_equal(a, v.numpy())


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    write(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ArtifactError, match="cannot be read.*remove it"):
        CheckpointFile(str(path), {}).read()
    assert CheckpointFile(str(tmp_path / "none.npz"), {}).read() is None


def test_due_after_its_minutes(tmp_path: Path) -> None:
    assert CheckpointFile(str(tmp_path / "a"), {}, 0).due()
    assert not CheckpointFile(str(tmp_path / "a"), {}, 1).due()
