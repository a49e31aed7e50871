"""The state of a training run in one file, from which it goes on exactly."""

from __future__ import annotations

import io
import json
import os
import re
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from claimpt_tf.errors import ArtifactError

CHECKPOINT_FILE = "checkpoint.npz"
_FACTS = "facts"
_NUMBER = re.compile(r"_\d+(?=/|$)")
_SHOWN = 3  # differences that an error names

Named = Sequence[tuple[str, Any]]


@dataclass(frozen=True)
class Checkpoint:
    """What was read.

    Attributes:
      facts: Where the run stood, and what it was started with.
      arrays: Values by name.
    """

    facts: dict[str, Any]
    arrays: dict[str, np.ndarray]


class CheckpointFile:
    """One file that is replaced as a whole, or not at all.

    Args:
      path: Where it is; local or remote.
      identity: What the run was started with: configuration, data, vocabulary. A
        checkpoint with another identity is refused.
      minutes: Least time between two checkpoints of `due`.
    """

    def __init__(
        self, path: str, identity: Mapping[str, Any], minutes: float = 1.0
    ) -> None:
        self.path, self.minutes = path, minutes
        self.identity = json.loads(json.dumps(dict(identity)))  # as it is read back
        self._written = time.monotonic()

    def numbered(self, number: int) -> CheckpointFile:
        """The file of a further training of the same run; 0 is this one."""
        if number == 0:
            return self
        root, extension = os.path.splitext(self.path)
        return CheckpointFile(
            f"{root}-{number}{extension}", self.identity, self.minutes
        )

    def due(self) -> bool:
        """Whether it is time for another one."""
        return time.monotonic() - self._written >= 60 * self.minutes

    def write(self, facts: Mapping[str, Any], values: Named) -> None:
        """Writes beside, then renames.

        Args:
          facts: JSON-able facts.
          values: Names and array-likes; names are unique.
        """
        arrays = {name: np.asarray(value) for name, value in values}
        text = json.dumps({"identity": self.identity, **facts})
        part = f"{self.path}.part"
        content = io.BytesIO()
        np.savez(content, **{_FACTS: np.frombuffer(text.encode(), np.uint8)}, **arrays)
        with tf.io.gfile.GFile(part, "wb") as file:
            file.write(content.getvalue())
        tf.io.gfile.rename(part, self.path, overwrite=True)
        self._written = time.monotonic()

    def read(self) -> Checkpoint | None:
        """The last one that was written, or None.

        Raises:
          ArtifactError: The file is damaged, or of a run with another identity.
        """
        if not tf.io.gfile.exists(self.path):
            return None
        try:
            with tf.io.gfile.GFile(self.path, "rb") as file:
                content = io.BytesIO(file.read())
            with np.load(content) as loaded:
                arrays = {name: loaded[name] for name in loaded.files}
            facts = json.loads(arrays.pop(_FACTS).tobytes())
        except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
            raise ArtifactError(
                f"{self.path} cannot be read ({error}); remove it to start anew"
            ) from error
        differ = _differences(facts.pop("identity"), self.identity)
        if differ:
            raise ArtifactError(
                f"{self.path} is of another run: {'; '.join(differ)}. Resume with what "
                "the run was started with, or choose another --output"
            )
        return Checkpoint(facts, arrays)

    def remove(self) -> None:
        """Removes the file if there is one."""
        if tf.io.gfile.exists(self.path):
            tf.io.gfile.remove(self.path)


def restore(values: Named, arrays: Mapping[str, np.ndarray], where: str) -> None:
    """Assigns arrays to variables by name.

    Args:
      values: Names and variables (anything with `shape` and `assign`).
      arrays: Values by name; others than the names asked for are ignored.
      where: Path for the error.

    Raises:
      ArtifactError: A variable is missing or has another shape: the checkpoint is of
        another architecture. Nothing has been assigned then.
    """
    differ = []
    for name, variable in values:
        shape = tuple(variable.shape)
        if name not in arrays:
            differ.append(f"{name} {shape} is not in it")
        elif arrays[name].shape != shape:
            differ.append(f"{name} has shape {arrays[name].shape}, not {shape}")
    if differ:
        more = len(differ) - _SHOWN
        raise ArtifactError(
            f"{where} is a checkpoint of another architecture: "
            f"{'; '.join(differ[:_SHOWN])}{f' and {more} more' if more > 0 else ''}. "
            "Use the preset and vocabulary that it was made with, or start anew"
        )
    for name, variable in values:
        variable.assign(arrays[name])


def named(prefix: str, variables: Sequence[Any]) -> list[tuple[str, Any]]:
    """Unique names for variables: place, and path without Keras' running numbers."""
    return [
        (f"{prefix}/{place:03d}/{_NUMBER.sub('', getattr(v, 'path', v.name))}", v)
        for place, v in enumerate(variables)
    ]


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    found = []
    for name in sorted({*theirs, *ours}):
        one, other = theirs.get(name), ours.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            found += _differences(one, other)
        elif one != other:
            found.append(f"{name} was {one!r} and is {other!r}")
    return found
