"""One line a component on the screen, everything else in the log file."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator

from rich.console import Console

_RUNNING, _FINISHED = "Component %s is running.", "Component %s is finished."


class ComponentLines(logging.Handler):
    """Turns LocalDagRunner's log records into lines on a console.

    Args:
      console: Where lines go.
      was_cached: Tells whether a finished component took earlier outputs.
      finished: Called with the id of each component that ends.
    """

    def __init__(
        self,
        console: Console,
        was_cached: Callable[[str], bool],
        finished: Callable[[str], None],
    ) -> None:
        super().__init__(logging.INFO)
        self._console, self._was_cached = console, was_cached
        self._finished = finished
        self._began = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Prints the start and the end of components, nothing else."""
        # Some component turns the level up half-way; warnings still come through.
        for logger in (logging.getLogger(), logging.getLogger("absl")):
            if logger.level > logging.INFO:
                logger.setLevel(logging.INFO)
        if not isinstance(record.args, tuple) or not record.args:
            return
        name = str(record.args[0])
        if record.msg == _RUNNING:
            self._began = time.monotonic()
            if self._console.is_terminal:
                self._console.print(f"  [dim]…[/] {name}", end="\r")
        elif record.msg == _FINISHED:
            seconds = time.monotonic() - self._began
            took = "cached" if self._was_cached(name) else f"{seconds:.1f} s"
            self._console.print(f"  [green]✓[/] {name:<22} {took:>8}")
            self._finished(name)


@contextlib.contextmanager
def logs_to(path: str, lines: logging.Handler, verbose: bool) -> Iterator[None]:
    """Sends all logging to a file, and component lines to the screen.

    Args:
      path: The log file; it is appended to.
      lines: A ComponentLines.
      verbose: Also show the log on the screen.
    """
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    tensorflow = logging.getLogger("tensorflow")  # writes to the screen by itself
    its_own = tensorflow.handlers[:]
    tensorflow.handlers, tensorflow.propagate = [], True
    file = logging.FileHandler(path)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root.handlers = [file, lines] + ([logging.StreamHandler()] if verbose else [])
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        file.close()
        root.handlers, root.level = before, level
        tensorflow.handlers, tensorflow.propagate = its_own, False
