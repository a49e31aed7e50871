"""Readers by name: every module of this package that declares a `READER`."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from typing import TYPE_CHECKING

from claimpt_tf.claims import readers
from claimpt_tf.errors import InputError

if TYPE_CHECKING:  # so that the command line lists the names without Polars
    from claimpt_tf.claims.reader import Reader


def reader_names() -> list[str]:
    """The names `--source` accepts: the modules of this package, this one apart.

    Example:
      >>> {"omop", "synpuf", "synthea", "tuva"} <= set(reader_names())
      True
    """
    modules = (module.name for module in pkgutil.iter_modules(readers.__path__))
    return sorted(name for name in modules if name != "registry")


def reader_for(name: str) -> Reader:
    """A new reader of the standard called `name`.

    Raises:
      InputError: There is no such reader.

    Example:
      >>> reader_for("tuva").name
      'tuva'
      >>> reader_for("tuvva")
      Traceback (most recent call last):
      ...
      claimpt_tf.errors.InputError: 'tuvva' is no source; did you mean 'tuva'? ...
    """
    known = reader_names()
    if name not in known:
        near = difflib.get_close_matches(name.lower(), known, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else "."
        raise InputError(f"'{name}' is no source{hint} Known are: {', '.join(known)}.")
    module = importlib.import_module(f"{readers.__name__}.{name}")
    reader: Reader = module.READER()
    return reader
