"""The folder of a run: empty, interrupted or finished."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile

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


@contextlib.contextmanager
def whole(path: str | Path) -> Iterator[None]:
    """Says which file of a run is damaged, where reading it inside fails.

    Args:
      path: The file; it is there.

    Raises:
      ArtifactError: What was read is not what a run writes.
    """
    try:
        yield
    except (BadZipFile, EOFError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{path} is damaged ({error}): copy the run again, or pre-train again"
        ) from error
