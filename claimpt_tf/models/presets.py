"""Sizes with a name."""

from __future__ import annotations

from typing import Any

from claimpt_tf.errors import ArtifactError
from claimpt_tf.models.backbone import ClaimBackbone
from claimpt_tf.models.gru_backbone import GruBackbone
from claimpt_tf.models.paper_backbone import PaperBackbone
from claimpt_tf.models.timeline_backbone import TimelineBackbone

PRESETS: dict[str, type[TimelineBackbone]] = {
    name: family
    for family in (PaperBackbone, ClaimBackbone, GruBackbone)
    for name in family.sizes
}


def backbone(preset: str, codes: int, stems: int, **changes: Any) -> TimelineBackbone:
    """A freshly initialised backbone.

    Args:
      preset: A key of PRESETS.
      codes: Size of the code vocabulary, special ids included.
      stems: Size of the stem vocabulary, special ids included; "paper" has none.
      **changes: Arguments of the backbone's class that replace the preset's.

    Raises:
      ArtifactError: There is no such preset.

    Example:
      >>> backbone("tiny", codes=50, stems=20, layers=2).layer_count
      2
    """
    if preset not in PRESETS:
        raise ArtifactError(
            f"there is no preset {preset!r}; choose one of {', '.join(PRESETS)}"
        )
    family = PRESETS[preset]
    if family is not PaperBackbone:
        changes = {"stems": stems, **changes}
    return family.from_preset(preset, codes=codes, **changes)
