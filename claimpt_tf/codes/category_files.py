"""A user's own categories: a mapping of codes, or an ontology's parent-child table.

The header tells which of four kinds a CSV (comma, semicolon or tab, plain or gzip) or
Parquet file is; docs/codes.md shows each of them.
"""

from __future__ import annotations

import difflib
import gzip
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from claimpt_tf.codes.categories import HIERARCHY_LEVEL, Categories, Hierarchy
from claimpt_tf.codes.systems import SYSTEMS
from claimpt_tf.codes.vocabularies import canonical, system_of
from claimpt_tf.errors import InputError

ANY_END = "*"  # after the start of codes: all that begin with it

_MAPPING = ("code", "category")
_PARENTS = ("code", "parent")
_SNOMED = ("sourceid", "destinationid", "typeid", "active")
_OMOP = ("ancestor_concept_id", "descendant_concept_id", "min_levels_of_separation")
_CONCEPT = ("concept_id", "vocabulary_id", "concept_code")
_KINDS = (_MAPPING, _PARENTS, _SNOMED, _OMOP)
_IS_A = "116680003"
_SHOWN_FAULTS = 5


def load_categories(
    paths: Sequence[str | os.PathLike[str]], level: int = HIERARCHY_LEVEL
) -> Categories:
    """Categories with the user's own tables before the published ones.

    Args:
      paths: Files of `code,category`, of `code,parent`, SNOMED CT relationships (RF2)
        or OMOP's `concept_ancestor`; any number of each, none for the published
        groups alone.
      level: Depth below the root at which a hierarchy's ancestors are categories.

    Raises:
      InputError: A file cannot be read, is of no such kind, or holds rows that make no
        sense: the message names file, row and column.
    """
    own: dict[str, str] = {}
    edges = []
    for path in map(Path, paths):
        table = _read(path)
        kind = _kind_of(table, path)
        if kind == _MAPPING:
            _add_mapping(own, table, path)
        elif kind == _PARENTS:
            edges.append(_parents(table, path))
        elif kind == _SNOMED:
            edges.append(_snomed(table))
        else:
            edges.append(_omop(table, path))
    if not edges:
        return Categories(own)
    every = pl.concat(edges).unique(maintain_order=True)
    names = ", ".join(str(path) for path in paths)
    return Categories(own, Hierarchy(every.rows(), level, names))


def categories_digest(paths: Sequence[str | os.PathLike[str]]) -> str:
    """What changes when a file of categories does: so that a cache notices it.

    Args:
      paths: As given to `load_categories`; a file that is not on this machine counts
        by its name alone.

    Returns:
      Hexadecimal SHA-256, empty without files.
    """
    if not paths:
        return ""
    digest = hashlib.sha256()
    for path in map(Path, paths):
        digest.update(path.read_bytes() if path.is_file() else str(path).encode())
    return digest.hexdigest()


def _add_mapping(own: dict[str, str], table: pl.DataFrame, path: Path) -> None:
    named = _named(table, "code", path)
    faults = _faults(table["category"].is_null(), "category", "is empty")
    _raise(path, faults)
    rows = zip(named.to_list(), table["category"].to_list(), strict=True)
    lines: dict[str, int] = {}
    for line, (code, category) in enumerate(rows, start=2):
        if own.setdefault(code, category) != category:
            first = f"on line {lines[code]}" if code in lines else "in another file"
            raise InputError(
                f"{path}, line {line}, category: {code} is {category!r} here and "
                f"{own[code]!r} {first}; give each code one category."
            )
        lines.setdefault(code, line)


def _parents(table: pl.DataFrame, path: Path) -> pl.DataFrame:
    return pl.DataFrame(
        [_named(table, name, path).alias(name) for name in _PARENTS]
    ).filter(pl.col("code") != pl.col("parent"))


def _snomed(table: pl.DataFrame) -> pl.DataFrame:
    return table.filter(
        pl.col("typeid") == _IS_A, pl.col("active") == "1"
    ).select(
        code=pl.lit("SNOMED:") + pl.col("sourceid"),
        parent=pl.lit("SNOMED:") + pl.col("destinationid"),
    )  # fmt: skip


def _omop(table: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Direct steps of `concept_ancestor`, named by the `concept` table beside it."""
    beside = [
        file
        for file in sorted(path.parent.iterdir())
        if file.name.lower().split(".")[0] == "concept"
    ]
    if not beside:
        raise InputError(
            f"{path}: concept ids say nothing without OMOP's table `concept`; put it "
            f"in {path.parent}, as concept.csv or concept.parquet."
        )
    concepts = _read(beside[0])
    missing = [name for name in _CONCEPT if name not in concepts.columns]
    if missing:
        raise InputError(f"{beside[0]}: no column {', '.join(missing)}.")
    systems = _systems(concepts["vocabulary_id"])
    names = concepts.select(
        id="concept_id",
        name=systems + ":" + canonical(systems, concepts["concept_code"]),
    ).drop_nulls()
    steps = table.filter(pl.col("min_levels_of_separation") == "1")
    return (
        steps.join(names.rename({"name": "code"}), left_on=_OMOP[1], right_on="id")
        .join(names.rename({"name": "parent"}), left_on=_OMOP[0], right_on="id")
        .select("code", "parent")
    )


def _named(table: pl.DataFrame, column: str, path: Path) -> pl.Series:
    """A column of codes as `SYSTEM:CODE`, canonical, with its `*` where it has one."""
    given = table[column].str.strip_chars()
    if "system" in table.columns:
        system, bare = table["system"].str.strip_chars(), given
    else:
        system = given.str.extract("^([^:]*):")
        bare = given.str.replace("^[^:]*:", "")
    system = _systems(system)
    open_end = bare.str.ends_with(ANY_END).fill_null(False)
    known = system.is_in(list(SYSTEMS))
    faults = [
        *_faults(given.is_null(), column, "is empty"),
        *_faults(
            given.is_not_null() & ~known.fill_null(False),
            column,
            "names no known code system; write SYSTEM:CODE with one of "
            + ", ".join(SYSTEMS),
        ),
    ]
    _raise(path, faults)
    plain = bare.str.strip_chars_end(ANY_END)
    # The start of a code is not padded to a full one.
    start = plain.str.replace_all("[^0-9A-Za-z]", "").str.to_uppercase()
    code = canonical(system, plain).zip_with(~open_end, start)
    _raise(path, _faults(code.is_null() | (code == ""), column, "holds no code"))
    end = pl.select(pl.when(open_end).then(pl.lit(ANY_END)).otherwise(pl.lit("")))
    return system + ":" + code + end.to_series()


def _systems(named: pl.Series) -> pl.Series:
    """Code systems by any of their names; a name of none stays as it is."""
    names = {name: system_of(name) or name for name in named.drop_nulls().unique()}
    return named.replace(names)


def _faults(where: pl.Series, column: str, text: str) -> list[tuple[int, str, str]]:
    return [(int(row) + 2, column, text) for row in where.arg_true()]


def _raise(path: Path, faults: list[tuple[int, str, str]]) -> None:
    if not faults:
        return
    shown = "".join(
        f"\n  line {line}, {column}: {text}"
        for line, column, text in sorted(faults)[:_SHOWN_FAULTS]
    )
    more = len(faults) - _SHOWN_FAULTS
    rest = f"\n  and {more:,} more" if more > 0 else ""
    raise InputError(f"{path} cannot be used:{shown}{rest}")


def _kind_of(table: pl.DataFrame, path: Path) -> tuple[str, ...]:
    for kind in _KINDS:
        if set(kind) <= set(table.columns):
            if table.is_empty():
                raise InputError(f"{path}: holds no row below its header.")
            return kind
    known = sorted({name for kind in _KINDS for name in kind})
    near = [
        f"{name!r} (did you mean {found[0]!r}?)"
        for name in table.columns
        if name not in known
        and (found := difflib.get_close_matches(name, known, n=1, cutoff=0.75))
    ]
    kinds = "; ".join(", ".join(kind) for kind in _KINDS)
    hint = f" {', '.join(near)}." if near else ""
    raise InputError(
        f"{path}: its columns are {', '.join(table.columns[:8]) or 'none'}.{hint} A "
        f"table of categories has one of these sets of columns: {kinds}."
    )


def _read(path: Path) -> pl.DataFrame:
    """The table as text, column names in lower case."""
    try:
        with open(path, "rb") as raw:
            magic = raw.read(4)
        if magic == b"PAR1":
            table = pl.read_parquet(path).cast(pl.String)
        else:
            content = path.read_bytes()
            if magic[:2] == b"\x1f\x8b":
                content = gzip.decompress(content)
            if not content.strip():
                raise InputError(f"{path}: is empty.")
            first = content.split(b"\n", 1)[0]
            separator = max((b"\t", b";", b","), key=first.count)
            table = pl.read_csv(
                content.removeprefix(b"\xef\xbb\xbf"),
                separator=separator.decode(),
                # Tab-separated vocabularies are not quoted, and hold single quotes.
                quote_char=None if separator == b"\t" else '"',
                infer_schema=False,
            )
        names = [name.strip().lower() for name in table.columns]
        if len(set(names)) < len(names):
            raise InputError(f"{path}: two columns have the same name.")
        table.columns = names
        return table
    except OSError as error:
        reason = error.strerror or "no such file, or damaged"
        raise InputError(f"{path}: cannot be read ({reason}).") from None
    except (pl.exceptions.PolarsError, EOFError, ValueError) as error:
        text = str(error).splitlines()[0]
        raise InputError(f"{path}: no CSV or Parquet table ({text}).") from None
