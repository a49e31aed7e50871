"""A delimited text cut into blocks of whole records.

Blocks can be parsed one by one in bounded memory, whatever line breaks stand inside
quotes. Arrow can stream CSV by itself, but its streaming reader gives up on text that
is not UTF-8 where a row is malformed, and a Python stream to mend that can deadlock
when reading is broken off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

# A quote opens a field only at its start; `""` inside stands for one quote.
_QUOTED_FIELD = re.compile(rb'(?<![^,\r\n])"(?:[^"]|"")*("?)')


class UnclosedQuoteError(ValueError):
    """No record ends within the largest block allowed."""


def record_blocks(
    stream: BinaryIO, block_bytes: int, longest_record: int
) -> Iterator[bytes]:
    """Blocks that end where a record ends; together they are the whole text.

    Args:
      stream: Positioned at the start of a record.
      block_bytes: How much is read at a time, which is about a block's size.
      longest_record: Bytes after which a record counts as broken.

    Yields:
      Bytes, never empty.

    Raises:
      UnclosedQuoteError: A record is longer than `longest_record`.

    Example:
      >>> import io
      >>> text = io.BytesIO(b'1,a\\n2,"b\\nc"\\n3,d')
      >>> list(record_blocks(text, 8, 100))
      [b'1,a\\n', b'2,"b\\nc"\\n', b'3,d']
    """
    pending = b""
    while fresh := stream.read(block_bytes):
        pending += fresh
        end = _end_of_records(pending)
        if end:
            yield pending[:end]
            pending = pending[end:]
        elif len(pending) > longest_record:
            raise UnclosedQuoteError
    if pending:
        yield pending


def _end_of_records(text: bytes) -> int:
    """Where the last whole record of `text`, which starts with one, ends."""
    limit = len(text)
    if b'"' in text:
        last = None
        for last in _QUOTED_FIELD.finditer(text):
            pass
        # A quote at the very end may yet turn out to be the first of a pair.
        if last is not None and (not last.group(1) or last.end() == limit):
            limit = last.start()
    newline = text.rfind(b"\n", 0, limit)
    if newline >= 0:
        return newline + 1
    # Lines may end in a carriage return alone; at the very end a line feed may follow.
    return text.rfind(b"\r", 0, min(limit, len(text) - 1)) + 1
