"""Bytes kept on a disk of this machine, and what stands for them in a pipeline.

Beam's local runner keeps everything that it groups in memory. What is grouped here are
references of a few bytes, so memory does not grow with the input.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple


class Stored(NamedTuple):
    """Where bytes lie."""

    path: str
    start: int
    length: int


class Store:
    """A file of its own in `folder`, made when first written to.

    Without a folder nothing is stored, and bytes stand for themselves.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     with Store(folder) as store:
      ...         one, two = store.put(b"one"), store.put(b"and two")
      ...     taken(two), taken(one), taken(b"three")
      (b'and two', b'one', b'three')
    """

    def __init__(self, folder: str | None) -> None:
        """See the class."""
        self._folder = folder
        self._file: BinaryIO | None = None

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def put(self, data: bytes) -> bytes | Stored:
        """Writes bytes; `taken` of the result gives them back once this is closed."""
        if self._folder is None:
            return data
        if self._file is None:
            os.makedirs(self._folder, exist_ok=True)
            self._file = (Path(self._folder) / uuid.uuid4().hex).open("wb")
        start = self._file.tell()
        self._file.write(data)
        return Stored(self._file.name, start, len(data))


def taken(stored: bytes | Stored) -> bytes:
    """The bytes that `stored` stands for."""
    if isinstance(stored, bytes):
        return stored
    with open(stored.path, "rb") as file:
        file.seek(stored.start)
        return file.read(stored.length)
