"""Bytes made valid UTF-8 on their way to a parser that accepts nothing else."""

from __future__ import annotations

import codecs
import io
from typing import IO

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class Utf8Stream(io.RawIOBase):
    """Reads through another stream, and puts U+FFFD for bytes that are not UTF-8.

    Plain ASCII, the usual case, is passed on without work.

    Args:
      raw: What to read; closed with this stream.

    Attributes:
      repaired: Whether any byte was replaced so far.

    Example:
      >>> stream = Utf8Stream(io.BytesIO(b"Mu\\xf1oz"))
      >>> stream.read(100).decode(), stream.repaired
      ('Mu\ufffdoz', True)
    """

    def __init__(self, raw: IO[bytes]) -> None:
        """Read nothing yet."""
        super().__init__()
        self._raw = raw
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.repaired = False

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int = -1) -> bytes:
        """About `size` bytes, and none only at the end."""
        while True:
            fresh = self._raw.read(size)
            cut_character, _ = self._decoder.getstate()
            if fresh and fresh.isascii() and not cut_character:
                return fresh
            text = self._decoder.decode(fresh, final=not fresh)
            if text.count(REPLACEMENT) > fresh.count(REPLACEMENT.encode()):
                self.repaired = True
            if text or not fresh:
                return text.encode()

    def close(self) -> None:
        """Close the stream below too."""
        self._raw.close()
        super().close()
