from __future__ import annotations

from pathlib import Path

import pytest

from claimpt_tf.errors import ArtifactError, InputError
from claimpt_tf.serving.models_config import (
    ModelConfig,
    VersionPolicy,
    read_models_config,
    write_models_config,
)
from claimpt_tf.serving.promotion import audit_lines, promote, rollback


@pytest.fixture
def config(tmp_path: Path) -> Path:
    for number in (1, 2, 3):
        folder = tmp_path / "m" / str(number)
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").write_bytes(b"")
    path = tmp_path / "models.config"
    path.write_text(write_models_config([ModelConfig("claimpt", str(tmp_path / "m"))]))
    return path


def test_a_version_rises_and_falls(config: Path) -> None:
    promote(config, "claimpt", 1)
    promote(config, "claimpt", 2, "canary", reason="half a per cent better")
    (model,) = read_models_config(config)
    assert model.labels == {"stable": 1, "canary": 2}
    assert model.policy == VersionPolicy(0, (1, 2))
    promote(config, "claimpt", 2)
    (model,) = read_models_config(config)
    assert model.labels == {"stable": 2, "previous": 1}
    change = rollback(config, "claimpt", reason="drift")
    assert (change.before, change.after) == (2, 1)
    (model,) = read_models_config(config)
    assert model.labels == {"stable": 1} and model.policy.specific == (1,)
    assert [(x["what"], x["label"], x["before"], x["after"], x["reason"])
            for x in audit_lines(config)] == [
        ("promote", "stable", None, 1, ""),
        ("promote", "canary", None, 2, "half a per cent better"),
        ("promote", "stable", 1, 2, ""),
        ("rollback", "stable", 2, 1, "drift"),
    ]  # fmt: skip


def test_what_is_refused(config: Path) -> None:
    with pytest.raises(ArtifactError, match="no version 9; there are 1, 2, 3"):
        promote(config, "claimpt", 9)
    with pytest.raises(InputError, match="has no model 'other', only claimpt"):
        promote(config, "other", 1)
    with pytest.raises(InputError, match="no version that was stable before"):
        rollback(config, "claimpt")
    promote(config, "claimpt", 1)
    with pytest.raises(InputError, match="version 1 is stable already"):
        promote(config, "claimpt", 1)
    assert len(list(audit_lines(config))) == 1
    config.write_text("model_config_list { config { nme: 'x' } }")
    with pytest.raises(InputError, match=r'1:30 .*"nme"'):
        promote(config, "claimpt", 1)
