"""Records of another schema version, and splits without records."""

from __future__ import annotations

from pathlib import Path

import pytest

from claimpt_tf.errors import ArtifactError
from claimpt_tf.training.sources import check_schema, split_files
from claimpt_tf.visits.schema import load_schema, schema_text


def write(folder: Path, text: str) -> None:
    (folder / "schema.pbtxt").write_text(text)


def test_our_own_schema_and_a_longer_one_fit(tmp_path: Path) -> None:
    schema = load_schema()
    write(tmp_path, schema_text(schema))
    check_schema(str(tmp_path))
    schema.feature.add(name="added_later", type="INT")
    write(tmp_path, schema_text(schema))
    check_schema(str(tmp_path))


def test_what_differs_is_named(tmp_path: Path) -> None:
    schema = load_schema()
    kept = [f for f in schema.feature if f.name != "visit_length"]
    next(f for f in kept if f.name == "cost").type = 2  # INT
    del schema.feature[:]
    schema.feature.extend(kept)
    write(tmp_path, schema_text(schema))
    with pytest.raises(
        ArtifactError,
        match="another schema version: visit_length .INT. is missing; cost is INT, "
        "not FLOAT. Make them again with this version's `claimpt ingest`",
    ):
        check_schema(str(tmp_path))


def test_a_folder_that_ingest_did_not_make(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="has no schema.pbtxt"):
        check_schema(str(tmp_path))
    write(tmp_path, "feature { nothing: 1 }")
    with pytest.raises(ArtifactError, match="is not a schema"):
        check_schema(str(tmp_path))
    with pytest.raises(ArtifactError, match="no such folder; make it with"):
        split_files(str(tmp_path / "none"), "train")
    with pytest.raises(ArtifactError, match="Split-eval: the split is empty"):
        split_files(str(tmp_path), "eval")
