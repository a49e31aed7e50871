"""Blocks of whole records, whatever the text."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claimpt_tf.claims.csv_blocks import UnclosedQuoteError, record_blocks

CELL = st.text(alphabet='ab",\n\r ', max_size=8)


def blocks(text: bytes, size: int) -> list[bytes]:
    return list(record_blocks(io.BytesIO(text), size, 1 << 20))


@given(st.lists(st.lists(CELL, min_size=2, max_size=3)), st.integers(1, 50))
def test_written_records_stay_whole(rows: list[list[str]], size: int) -> None:
    content = io.StringIO()
    csv.writer(content, lineterminator="\n").writerows(rows)
    text = content.getvalue().encode()
    got = blocks(text, size)
    assert b"".join(got) == text
    parsed = [row for block in got for row in csv.reader(_lines(block))]
    assert parsed == list(csv.reader(_lines(text)))


def _lines(text: bytes) -> io.StringIO:
    return io.StringIO(text.decode(), newline="")


@given(st.lists(st.sampled_from([b'"', b",", b"\n", b"\r", b"x", b'""'])))
def test_nothing_is_lost_of_any_text(parts: list[bytes]) -> None:
    text = b"".join(parts)
    for size in (1, 3, 100):
        got: list[bytes] = []
        try:
            got.extend(record_blocks(io.BytesIO(text), size, 1 << 20))
        except UnclosedQuoteError:
            assert b'"' in text
            assert text.startswith(b"".join(got))
        else:
            assert b"".join(got) == text
        assert all(got)


@pytest.mark.parametrize("size", [1, 2, 5, 7, 100])
def test_stray_quotes_do_not_open_fields(size: int) -> None:
    text = b'1,5" pipe\n2,a "quote" here\n3,"x\ny"z"\n4,""\n5,"""\n"""\n6\n'
    records = [b'1,5" pipe\n', b'2,a "quote" here\n', b'3,"x\ny"z"\n']
    records += [b'4,""\n', b'5,"""\n"""\n', b"6\n"]
    ends = {len(b"".join(records[: n + 1])) for n in range(len(records))}
    place = 0
    for block in blocks(text, size):
        place += len(block)
        assert place in ends
    assert place == len(text)


def test_line_ends_of_every_kind() -> None:
    assert blocks(b"1\r2\r3", 2) == [b"1\r", b"2\r3"]
    assert blocks(b"1\r\n2\r\n", 2) == [b"1\r\n", b"2\r\n"]
    assert blocks(b"", 2) == []


@pytest.mark.parametrize("end", [b"3,4\n" * 100, b"", b'3,""4\n'])
@pytest.mark.parametrize("size", [3, 20, 1000])
def test_quote_that_is_never_closed(end: bytes, size: int) -> None:
    got: list[bytes] = []
    text = io.BytesIO(b'0,0\n1,"2\n' + end)
    with pytest.raises(UnclosedQuoteError):
        for block in record_blocks(text, size, 500):
            got.append(block)
    assert b"".join(got) == b"0,0\n"


def test_record_that_is_too_long() -> None:
    text = io.BytesIO(b"1," + b"x" * 100)
    with pytest.raises(UnclosedQuoteError):
        list(record_blocks(text, 20, 50))
