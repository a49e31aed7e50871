from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from claimpt_tf.errors import ArtifactError
from claimpt_tf.serving.saved_model import (
    model_versions,
    python_ops,
    read_saved_model,
    resolve_version,
)


def test_signatures_are_read_as_tensorflow_reads_them(
    saved_models: dict[str, Path],
) -> None:
    import tensorflow as tf

    spec = read_saved_model(saved_models["one"])
    loaded = tf.saved_model.load(str(saved_models["one"]))

    assert (
        set(spec.signatures)
        == set(loaded.signatures)
        == {
            "classify",
            "predict",
            "regress",
            "serving_default",
        }
    )
    for name, signature in spec.signatures.items():
        wanted = loaded.signatures[name].structured_input_signature[1]
        assert {k: (s.dtype, s.shape) for k, s in signature.inputs.items()} == {
            k: (s.dtype.name, tuple(-1 if d is None else d for d in s.shape))
            for k, s in wanted.items()
        }
    assert spec.tensorflow_version == tf.__version__
    assert "MatMul" in spec.ops and "ParseExampleV2" in spec.ops


def test_python_ops_are_found_inside_functions(saved_models: dict[str, Path]) -> None:
    assert python_ops(saved_models["one"]) == []
    assert python_ops(saved_models["python_op"]) == ["EagerPyFunc"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no saved_model.pb here"),
        (b"\xff\xff not a model", "not a SavedModel, or cut short"),
        (b"", "no graph with the tag 'serve'"),
    ],
)
def test_what_is_no_saved_model(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(ArtifactError, match=message):
        read_saved_model(tmp_path)


def test_a_cut_saved_model(tmp_path: Path, saved_models: dict[str, Path]) -> None:
    whole = (saved_models["one"] / "saved_model.pb").read_bytes()
    (tmp_path / "saved_model.pb").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtifactError, match="cut short"):
        read_saved_model(tmp_path)


def test_versions_pass_over_everything_else(
    tmp_path: Path, saved_models: dict[str, Path]
) -> None:
    for name in ("3", "20", "007", "4-copying", "tmp_5", ".6", "-7", "²"):
        shutil.copytree(saved_models["one"], tmp_path / name)
    (tmp_path / "30").mkdir()
    (tmp_path / "40").write_text("a file")

    assert list(model_versions(tmp_path)) == [3, 7, 20]
    assert resolve_version(tmp_path) == tmp_path / "20"
    assert resolve_version(tmp_path / "3") == tmp_path / "3"
    with pytest.raises(ArtifactError, match="no such folder"):
        model_versions(tmp_path / "none")
    with pytest.raises(ArtifactError, match="neither saved_model.pb nor"):
        resolve_version(tmp_path / "30")
