"""CSV files, tidy and otherwise."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from claimpt_tf.claims.csv_file import CsvFile
from claimpt_tf.errors import InputError


def file_of(path: Path, content: bytes) -> CsvFile:
    path.write_bytes(content)
    return CsvFile(path, path.name)


def rows_of(
    file: CsvFile, positions: dict[str, int], batch_rows: int = 1000
) -> tuple[list[tuple[object, ...]], list[int]]:
    """Row numbers with their cells, and the numbers of malformed rows."""
    good: list[tuple[object, ...]] = []
    bad: list[int] = []
    for batch in file.batches(positions, 0, batch_rows):
        assert len(batch.frame) <= batch_rows
        good += batch.frame.insert_column(0, batch.rows).rows()
        bad += batch.malformed
    return good, bad


def test_projection_order_and_row_numbers(tmp_path: Path) -> None:
    file = file_of(tmp_path / "t.csv", b"a,b,c\n1,x,\n2,y,z\n")
    assert file.header() == ["a", "b", "c"]
    rows, bad = rows_of(file, {"third": 2, "first": 0})
    assert rows == [(1, None, "1"), (2, "z", "2")]
    assert not bad


@pytest.mark.parametrize("batch_rows", [1, 2, 3, 1000])
def test_batches_of_any_size_hold_the_same_rows(
    tmp_path: Path, batch_rows: int
) -> None:
    content = "a\n" + "".join(f"{n}\n" for n in range(1, 8))
    file = file_of(tmp_path / "t.csv", content.encode())
    rows, _ = rows_of(file, {"a": 0}, batch_rows)
    assert rows == [(n, str(n)) for n in range(1, 8)]


def test_many_blocks(tmp_path: Path) -> None:
    count = 60_000
    lines = "".join(f"{n},{'x' * 200}\n" for n in range(1, count + 1))
    file = file_of(tmp_path / "t.csv.gz", gzip.compress(f"n,x\n{lines}".encode(), 1))
    rows, bad = rows_of(file, {"n": 0}, 7_000)
    assert rows == [(n, str(n)) for n in range(1, count + 1)]
    assert not bad


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\n\r\n", b"\xef\xbb\xbf\n"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_marks_blank_lines_and_line_ends(
    tmp_path: Path, start: bytes, end: bytes
) -> None:
    body = end.join([b'"a" ,b', b"1,2", b"", b'"x,\n""y""",', b"3,4"])
    file = file_of(tmp_path / "t.csv", start + body)
    assert [name.strip() for name in file.header()] == ["a", "b"]
    rows, _ = rows_of(file, {"a": 0, "b": 1})
    assert rows == [(1, "1", "2"), (2, 'x,\n"y"', None), (3, "3", "4")]


def test_malformed_rows_are_numbered(tmp_path: Path) -> None:
    lines = [b"\na,b"]
    bad = {1, 5, 6, 9, 12}
    for n in range(1, 13):
        lines.append(b"%d" % n if n in bad else b"%d,x" % n)
    file = file_of(tmp_path / "t.csv", b"\n".join(lines))
    for batch_rows in (1, 3, 100):
        rows, malformed = rows_of(file, {"a": 0}, batch_rows)
        assert malformed == sorted(bad)
        assert rows == [(n, str(n)) for n in range(1, 13) if n not in bad]


def test_malformed_rows_only(tmp_path: Path) -> None:
    file = file_of(tmp_path / "t.csv", b"a,b\n1\n2\n")
    assert rows_of(file, {"a": 0}) == ([], [1, 2])


def test_malformed_rows_across_blocks(tmp_path: Path) -> None:
    count = 60_000
    lines = [f"{n}" if n % 1000 == 0 else f"{n},{'x' * 200}" for n in range(1, count)]
    file = file_of(tmp_path / "t.csv", "\n".join(["n,x", *lines]).encode())
    rows, malformed = rows_of(file, {"n": 0}, 10_000)
    assert malformed == [n for n in range(1, count) if n % 1000 == 0]
    assert rows == [(n, str(n)) for n in range(1, count) if n % 1000]


def test_header_alone(tmp_path: Path) -> None:
    for content in (b"a,b", b"a,b\n", b"a,b\r\n\r\n"):
        file = file_of(tmp_path / "t.csv", content)
        assert rows_of(file, {"a": 0}) == ([], [])


def test_gzip_is_told_by_content(tmp_path: Path) -> None:
    file = file_of(tmp_path / "t.csv", gzip.compress(b"a\n1\n", mtime=0))
    assert rows_of(file, {"a": 0})[0] == [(1, "1")]
    file = file_of(
        tmp_path / "t.csv",
        gzip.compress(b"a\n1\n", mtime=0) + gzip.compress(b"2\n", mtime=0),
    )
    assert rows_of(file, {"a": 0})[0] == [(1, "1"), (2, "2")]


def test_other_columns_may_hold_any_bytes(tmp_path: Path) -> None:
    file = file_of(tmp_path / "t.csv", b"name,id\nMu\xf1oz,1\n")
    assert rows_of(file, {"id": 1})[0] == [(1, "1")]


def test_malformed_rows_may_hold_any_bytes(tmp_path: Path) -> None:
    file = file_of(tmp_path / "t.csv", b"name,id\nMu\xf1oz, Jr,1\nx\xff,2\n")
    assert rows_of(file, {"id": 1}) == ([(2, "2")], [1])


def test_text_beyond_ascii(tmp_path: Path) -> None:
    word = "\u00e9\u4e2d\U0001f600\ufffd"
    content = "a,b\n" + f"{word * 50},1\n" * 20_000
    file = file_of(tmp_path / "t.csv", content.encode())
    rows, bad = rows_of(file, {"a": 0, "b": 1})
    assert not bad
    assert {row[1:] for row in rows} == {(word * 50, "1")}


def test_lines_that_end_in_carriage_returns(tmp_path: Path) -> None:
    file = file_of(tmp_path / "t.csv", b"\ra,b\r1,2\r3,4\r")
    assert file.header() == ["a", "b"]
    assert rows_of(file, {"b": 1})[0] == [(1, "2"), (2, "4")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "has no header line"),
        (b"a;b\n1;2\n", "separated by semicolons"),
        (b"a\tb,c\td\n", "separated by tabs"),
        (b"a|b\n1|2\n", "separated by vertical bars"),
        ("a,b\n1,2\n".encode("utf-16"), "not UTF-8"),
        (b"a,Mu\xf1oz\n1,2\n", "not UTF-8"),
        (gzip.compress(b"a,b\n" * 100, mtime=0)[:20], "no readable gzip"),
        (b"\x1f\x8bno gzip at all", "no readable gzip"),
        (b"\0\0\0\x18ftyp", "this is no text file"),
    ],
)
def test_unreadable_headers(tmp_path: Path, content: bytes, message: str) -> None:
    file = file_of(tmp_path / "t.csv", content)
    with pytest.raises(InputError, match=f"^t.csv: .*{message}"):
        file.header()


def test_gz_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no readable gzip"):
        file_of(tmp_path / "t.csv.gz", b"a,b\n1,2\n").header()


def test_gzip_cut_short(tmp_path: Path) -> None:
    text = "a\n" + "".join(f"{n * 7919 % 104729}\n" for n in range(400_000))
    whole = gzip.compress(text.encode())
    file = file_of(tmp_path / "t.csv.gz", whole[: len(whole) - 1000])
    assert file.header() == ["a"]
    with pytest.raises(InputError, match="cut short or damaged"):
        file.check_whole()
    with pytest.raises(InputError, match="cut short or damaged"):
        rows_of(file, {"a": 0}, 1000)
    file_of(tmp_path / "t.csv.gz", whole).check_whole()


def test_not_utf8_in_a_column_that_is_read(tmp_path: Path) -> None:
    file = file_of(tmp_path / "t.csv", b"a\nMu\xf1oz\n")
    with pytest.raises(InputError, match="a cell of column 'a' is not"):
        rows_of(file, {"a": 0})


def test_quote_that_is_never_closed(tmp_path: Path) -> None:
    file = file_of(tmp_path / "t.csv", b'a,b\n1,2\n3,"4\n' + b"5,6\n" * 10)
    with pytest.raises(InputError, match="in row 2 a quote .* never closed"):
        rows_of(file, {"a": 0})


def test_all_cells_stay_text(tmp_path: Path) -> None:
    file = file_of(tmp_path / "t.csv", b"a,b\n007,1.50\n")
    (batch,) = file.batches({"a": 0, "b": 1}, 0, 10)
    assert batch.frame.equals(pl.DataFrame({"a": ["007"], "b": ["1.50"]}))
