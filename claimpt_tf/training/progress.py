"""One line a training epoch, or a moving bar where somebody watches."""

from __future__ import annotations

import sys
import time
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


class EpochLine(keras.callbacks.Callback):
    """Prints loss, validation figures and throughput after each epoch.

    Args:
      title: What is being trained.
      batch_size: Patients a batch, for the throughput.
    """

    def __init__(self, title: str, batch_size: int) -> None:
        super().__init__()
        self.title, self.batch_size = title, batch_size
        self._console = Console(file=sys.stderr, highlight=False)
        self._bar: Progress | None = None
        self._steps: int | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts the clock, and the bar on a terminal."""
        self._began, self._done = time.monotonic(), 0
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("    {task.description}"),
                BarColumn(),
                TextColumn("{task.completed} batches"),
                TimeElapsedColumn(),
                console=self._console,
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(
                f"{self.title} epoch {epoch + 1}", total=self._steps
            )

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Advances the bar."""
        self._done += 1
        if self._bar:
            self._bar.advance(self._task)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Prints the line."""
        if self._bar:
            self._bar.stop()
            self._bar = None
        self._steps = self._done
        seconds = time.monotonic() - self._began
        figures = "  ".join(f"{k} {float(v):.4f}" for k, v in (logs or {}).items())
        rate = self._done * self.batch_size / max(seconds, 1e-9)
        self._console.print(
            f"    {self.title} {epoch + 1}/{self.params['epochs']}  {figures}  "
            f"{rate:,.0f} patients/s",
            soft_wrap=True,
        )

    def on_train_end(self, logs: Any = None) -> None:
        """Leaves the terminal clean after an interruption."""
        if self._bar:
            self._bar.stop()
