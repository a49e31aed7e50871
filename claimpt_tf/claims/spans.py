"""Claims that arrive in parts, such as a folder a month: which folders, in what order.

A span holds new rows only, in the tables of its standard; the timeline of a member is
made of all spans.
"""

from __future__ import annotations

import re
from pathlib import Path

from claimpt_tf.errors import InputError

SPAN = "{SPAN}"

_FIELD = re.compile(r"\{([A-Z]+)(?::\d+)?\}")


def has_spans(path: str) -> bool:
    """Whether a path stands for several folders.

    Example:
      >>> has_spans("claims/month-{SPAN}"), has_spans("claims")
      (True, False)
    """
    return _FIELD.search(path) is not None


def span_folders(path: str, until: int | None = None) -> list[str]:
    """The folders that a path stands for, by span.

    Args:
      path: A folder, returned as it is; or one whose last part has `{SPAN}` in place of
        a whole number, such as `claims/month-{SPAN}`.
      until: The last span wanted; all when None.

    Raises:
      InputError: There is no such folder, `{SPAN}` stands elsewhere, or two folders are
        the same span.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as claims:
      ...     for month in ("month-10", "month-9", "notes"):
      ...         (Path(claims) / month).mkdir()
      ...     [Path(one).name for one in span_folders(claims + "/month-{SPAN}")]
      ['month-9', 'month-10']
    """
    if not has_spans(path):
        return [path]
    parent, name = Path(path).parent, Path(path).name
    fields = _FIELD.findall(path)
    if fields != ["SPAN"] or not has_spans(name):
        raise InputError(
            f"{path}: write {SPAN} once, in the name of the folder that holds a span's "
            f"tables, such as claims/month-{SPAN}. Other fields are not known."
        )
    before, after = _FIELD.split(name)[::2]
    wanted = re.compile(rf"{re.escape(before)}(\d+){re.escape(after)}")
    found: dict[int, str] = {}
    for entry in sorted(parent.iterdir()) if parent.is_dir() else ():
        match = wanted.fullmatch(entry.name)
        if match and entry.is_dir():
            span = int(match.group(1))
            if span in found:
                raise InputError(
                    f"{path}: {Path(found[span]).name} and {entry.name} are both span "
                    f"{span}. Number each month once."
                )
            found[span] = str(entry)
    folders = [found[n] for n in sorted(found) if until is None or n <= until]
    if not folders:
        raise InputError(f"{path}: there is no folder of this name with a number.")
    return folders
