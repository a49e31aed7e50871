#!/usr/bin/env python
"""Reads many damaged inputs of every standard and tells what became of them.

    .venv/bin/python scripts/fuzz_readers.py --count 2000
    .venv/bin/python scripts/fuzz_readers.py --reader tuva --seed 41 --count 1

Ends with status 1 where an input led to anything but a clear refusal or a reading in
which each row is accounted for; each such input is named by reader and seed.
"""

from __future__ import annotations

import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.claims.damage import run, table_readers  # noqa: E402


@click.command()
@click.option("--count", default=1000, show_default=True, help="Inputs a reader.")
@click.option("--seed", default=0, show_default=True, help="The first input's.")
@click.option("--reader", "names", multiple=True, help="Repeatable; default: all.")
@click.option("--verbose", is_flag=True, help="Count each message apart.")
def main(count: int, seed: int, names: tuple[str, ...], verbose: bool) -> None:
    """Read damaged inputs and count what became of them."""
    failed = False
    for name in names or table_readers():
        began = time.monotonic()
        fates: Counter[str] = Counter()
        for one in range(seed, seed + count):
            with tempfile.TemporaryDirectory() as folder:
                try:
                    fates[
                        run(one, name, Path(folder), verbose).replace(folder, "")
                    ] += 1
                except BaseException as error:  # a panic of Polars is no Exception
                    if isinstance(error, KeyboardInterrupt):
                        raise
                    failed = True
                    fates["failed"] += 1
                    click.echo(f"{name} --seed {one}: {traceback.format_exc(-3)}")
        told = ("\n  " if verbose else ", ").join(
            f"{n:,} {fate}" for fate, n in fates.most_common()
        )
        click.echo(f"{name}: {told}; {time.monotonic() - began:.0f} s")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
