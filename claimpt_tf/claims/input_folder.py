"""Which files of an input folder hold which table of a standard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from claimpt_tf.claims.table_file import SUFFIXES, TableFile, open_table, split_name
from claimpt_tf.claims.table_spec import TableSpec
from claimpt_tf.errors import InputError

_SHOWN_FILES = 12


@dataclass(frozen=True)
class InputFile:
    """A file of a table.

    Attributes:
      path: Where it is.
      source: What messages and quarantine call it: its path below the input folder.
    """

    path: Path
    source: str

    def open(self) -> TableFile:
        """The file, ready to be read."""
        return open_table(self.path, self.source)


def find_files(
    tables: Sequence[TableSpec], input_path: str, nested: bool = False
) -> dict[str, list[InputFile]]:
    """The files of each table: those named after it, and all in a folder so named.

    Args:
      tables: What is looked for.
      input_path: The folder to look in.
      nested: Look into its folders as well, whatever they are called.

    Returns:
      Files in a stable order by table name; a table without files has an empty list.

    Raises:
      InputError: The folder is missing, a required table has no file, or a table is
        there twice, in two formats.
    """
    folder = Path(input_path)
    if not folder.exists():
        raise InputError(f"{input_path}: there is no such folder. Check --input.")
    if not folder.is_dir():
        raise InputError(
            f"{input_path}: this is a file. Give the folder that holds the tables."
        )
    entries = _entries(folder)
    if nested:
        folders = [entry for entry in entries if entry.is_dir()]
        entries += [inner for entry in folders for inner in _entries(entry)]
    found = {table.name: _files_of(table, entries) for table in tables}
    absent = [table for table in tables if table.required and not found[table.name]]
    if absent:
        raise InputError(_absent(absent, entries, input_path))
    return found


def source_of(table: TableSpec, path: str) -> str:
    """A file's name below the input folder, told from its path alone.

    Example:
      >>> table = TableSpec("medical_claim", columns=())
      >>> source_of(table, "/in/medical_claim_seed.csv")
      'medical_claim_seed.csv'
      >>> source_of(table, "/in/medical_claim/year=2019/part-0.parquet")
      'medical_claim/year=2019/part-0.parquet'
    """
    file = Path(path)
    named = split_name(file.name)
    if named is None or not table.fits(named[0]):
        for parent in file.parents:
            if table.fits(parent.name):
                return file.relative_to(parent.parent).as_posix()
    return file.name


def _files_of(table: TableSpec, entries: Sequence[Path]) -> list[InputFile]:
    stems: Counter[str] = Counter()
    paths: list[Path] = []
    for entry in entries:
        if entry.is_dir():
            inside = [] if not table.fits(entry.name) else _tables_below(entry)
            if inside:
                stems[entry.name.lower()] += 1
                paths += inside
        elif (named := split_name(entry.name)) and table.fits(named[0]):
            stems[named[0].lower()] += 1
            paths.append(entry)
    for stem, times in stems.items():
        if times > 1:
            raise InputError(
                f"{table.name}: '{stem}' is there {times} times, in different formats "
                f"({', '.join(path.name for path in paths)}). Keep one of them, or "
                "every claim would count twice."
            )
    return [InputFile(path, source_of(table, str(path))) for path in paths]


def _tables_below(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not _hidden(path) and split_name(path.name)
    )


def _entries(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if not _hidden(entry))


def _hidden(path: Path) -> bool:
    return path.name.startswith((".", "_"))


def _absent(
    absent: Sequence[TableSpec], entries: Sequence[Path], input_path: str
) -> str:
    shown = [entry.name + "/" * entry.is_dir() for entry in entries[:_SHOWN_FILES]]
    if len(entries) > _SHOWN_FILES:
        shown.append(f"and {len(entries) - _SHOWN_FILES} more")
    there = ", ".join(shown) or "nothing"
    wanted = "\n".join(
        f"{input_path}: no file for the table '{table.name}'; looked for names like "
        f"{table.example or table.name + '.csv'} (or {', '.join(SUFFIXES)}), or a "
        f"folder '{table.name}'."
        for table in absent
    )
    return f"{wanted}\nThere is: {there}."
