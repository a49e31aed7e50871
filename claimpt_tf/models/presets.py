"""Sizes with a name."""

from __future__ import annotations

from typing import Any

from claimpt_tf.errors import ArtifactError
from claimpt_tf.models.backbone import ClaimBackbone

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {"width": 32, "layers": 1, "heads": 2},  # tests
    "small": {"width": 96, "layers": 2, "heads": 4},  # a laptop, minutes
    "base": {"width": 256, "layers": 6, "heads": 8},  # a GPU
}


def backbone(preset: str, codes: int, stems: int, **changes: Any) -> ClaimBackbone:
    """A freshly initialised backbone.

    Args:
      preset: A key of PRESETS.
      codes: Size of the code vocabulary, special ids included.
      stems: Size of the stem vocabulary, special ids included.
      **changes: Arguments of ClaimBackbone that replace the preset's.

    Raises:
      ArtifactError: There is no such preset.
    """
    if preset not in PRESETS:
        raise ArtifactError(
            f"there is no preset {preset!r}; choose one of {', '.join(PRESETS)}"
        )
    return ClaimBackbone(codes, stems, **{**PRESETS[preset], **changes})
