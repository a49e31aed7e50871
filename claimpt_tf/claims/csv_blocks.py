"""A delimited text cut into blocks of whole records.

Blocks can be parsed one by one in bounded memory, whatever line breaks stand inside
quotes. Arrow can stream CSV by itself, but its streaming reader gives up on a
malformed row that is not UTF-8, and a Python stream that mends the text on the way to
it can deadlock when reading is broken off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

# A quote opens a field only at its start; `""` inside stands for one quote.
_QUOTED_FIELD = re.compile(rb'(?<![^,\r\n])"[^"]*(?:""[^"]*)*("?)')
_QUOTE = ord('"')
_BEFORE_A_FIELD = np.frombuffer(b",\r\n", np.uint8)


class UnclosedQuoteError(ValueError):
    """The record after the last block has no end, or none within what is allowed."""


def record_blocks(
    stream: BinaryIO, block_bytes: int, longest_record: int
) -> Iterator[bytes]:
    """Blocks that end where a record ends; together they are the whole text.

    Args:
      stream: Positioned at the start of a record; reads as much as it is asked for
        until it ends.
      block_bytes: How much is read at a time, which is about a block's size.
      longest_record: Bytes after which a record counts as broken.

    Yields:
      Bytes, never empty.

    Raises:
      UnclosedQuoteError: A quote is opened and never closed, or a record is longer
        than `longest_record`.

    Example:
      >>> import io
      >>> text = io.BytesIO(b'1,a\\n2,"b\\nc"\\n3,d')
      >>> list(record_blocks(text, 8, 100))
      [b'1,a\\n', b'2,"b\\nc"\\n3,d']
    """
    pending = b""
    ended = False
    while not ended:
        fresh = stream.read(block_bytes)
        pending += fresh
        ended = len(fresh) < block_bytes
        end = _end_of_records(pending, ended)
        if end:
            yield pending[:end]
            pending = pending[end:]
        if len(pending) > (0 if ended else longest_record):
            raise UnclosedQuoteError


def _end_of_records(text: bytes, ended: bool) -> int:
    """Where the last whole record of `text`, which starts with one, ends; or 0."""
    quotes = _quotes(text)
    if ended and len(quotes) % 2 == 0:
        return len(text)
    # Lines may end in a carriage return alone, but a line feed may follow the last.
    for mark, limit in ((b"\n", len(text)), (b"\r", len(text) - 1)):
        while (place := text.rfind(mark, 0, limit)) >= 0:
            before = int(np.searchsorted(quotes, place))
            if before % 2 == 0:
                return place + 1
            limit = int(quotes[before - 1])
    return 0


def _quotes(text: bytes) -> npt.NDArray[np.int64]:
    """Positions of quotes, such that an odd number of them before a place means that
    it lies inside a quoted field.
    """
    if b'"' not in text:
        return np.empty(0, np.int64)
    characters = np.frombuffer(text, np.uint8)
    places = np.flatnonzero(characters == _QUOTE)
    # Every other quote must open a field or be the second of a pair; if so, there is
    # no stray one, such as that of 5" in a field without quotes.
    opening = places[::2]
    starts = np.isin(characters[opening - 1], _BEFORE_A_FIELD) | (opening == 0)
    paired = np.zeros(len(opening), bool)
    paired[1:] = opening[1:] == places[1:-1:2] + 1
    if (starts | paired).all():
        return places
    spans = (
        place
        for field in _QUOTED_FIELD.finditer(text)
        for place in (field.start(), *([field.end()] if field.group(1) else []))
    )
    return np.fromiter(spans, np.int64)
