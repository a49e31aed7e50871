"""The folder of a run: empty, interrupted or finished."""

from __future__ import annotations

from pathlib import Path

from claimpt_tf.errors import ArtifactError


def check_free(folder: Path, finished: str, resume: bool) -> None:
    """Refuses a folder that a run may not be written to.

    Args:
      folder: The run's; need not be there.
      finished: File that a finished run has.
      resume: Whether an interrupted run in it may be gone on with.

    Raises:
      ArtifactError: It holds a finished run, or something else and `resume` is not set.
    """
    if (folder / finished).exists():
        raise ArtifactError(
            f"{folder} holds a finished run; choose another --output or remove it"
        )
    if folder.exists() and any(folder.iterdir()) and not resume:
        raise ArtifactError(
            f"{folder} is not empty; add --resume to go on with the run in it, or "
            "choose another --output"
        )
