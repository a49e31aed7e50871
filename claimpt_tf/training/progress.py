"""One line a training epoch, a moving bar where somebody watches, and TensorBoard."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_QUIET_SECONDS = 30  # between two lines of a long epoch where nobody watches


class EpochLine(keras.callbacks.Callback):
    """Prints loss, validation figures, throughput and time left after each epoch.

    Within an epoch a terminal shows a bar, and a log file a line every half minute.

    Args:
      title: What is being trained.
      batch_size: Patients a step, for the throughput.
    """

    def __init__(self, title: str, batch_size: int) -> None:
        super().__init__()
        self.title, self.batch_size = title, batch_size
        self._console = Console(file=sys.stderr, highlight=False)
        self._bar: Progress | None = None
        self._steps: int | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Takes the number of steps where the training loop knows it."""
        self._steps = self.params.get("steps")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts the clock, and the bar on a terminal."""
        self._began, self._done, self._epoch = time.monotonic(), 0, epoch
        self._said = self._began
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("    {task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[figures]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(
                f"{self.title} epoch {epoch + 1}/{self.params['epochs']}",
                total=self._steps,
                figures="",
            )

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Advances the bar."""
        if self._done == 0:
            self._first = batch  # an epoch that goes on starts in its middle
        self._done += 1
        if self._bar:
            self._bar.update(self._task, completed=batch + 1)
        if not logs or "loss" not in logs:
            return
        figures = f"loss {float(logs['loss']):.4f}  {self._rate():,.0f} patients/s"
        if self._bar:
            self._bar.update(self._task, figures=figures)
        elif time.monotonic() - self._said > _QUIET_SECONDS:
            self._said = time.monotonic()
            self._console.print(
                f"    {self.title} {self._epoch + 1}/{self.params['epochs']} "
                f"{batch + 1}/{self._steps or '?'}  {figures}",
                soft_wrap=True,
            )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Prints the line."""
        self._stop_bar()
        seconds = time.monotonic() - self._began
        whole = seconds / max(self._done, 1) * (self._steps or self._done)
        left = whole * (self.params["epochs"] - epoch - 1)
        self._steps = self._steps or self._done
        figures = "  ".join(f"{k} {float(v):.4f}" for k, v in (logs or {}).items())
        self._console.print(
            f"    {self.title} {epoch + 1}/{self.params['epochs']}  {figures}  "
            f"{self._rate():,.0f} patients/s"
            + (f"  at most {_clock(left)} left" if left else ""),
            soft_wrap=True,
        )

    def on_train_end(self, logs: Any = None) -> None:
        """Leaves the terminal clean after an interruption."""
        self._stop_bar()

    def _rate(self) -> float:
        return self._done * self.batch_size / max(time.monotonic() - self._began, 1e-9)

    def _stop_bar(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None


class Scalars(keras.callbacks.Callback):
    """TensorBoard scalars, by step of the run: `train` and `validation` below a folder.

    Args:
      log_dir: Where to write.
      batch_size: Patients a step, for the throughput.
    """

    def __init__(self, log_dir: str, batch_size: int) -> None:
        super().__init__()
        self.batch_size = batch_size
        self._train = tf.summary.create_file_writer(os.path.join(log_dir, "train"))
        self._valid = tf.summary.create_file_writer(os.path.join(log_dir, "validation"))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts the clock."""
        self._offset = epoch * self.params["steps"]
        self._seen: int | None = None
        self._at = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Writes the loss so far in this epoch, the rate and the throughput."""
        if not logs:
            return
        now = time.monotonic()
        with self._train.as_default(self._offset + batch + 1):
            tf.summary.scalar("running_loss", float(logs["loss"]))
            rate = np.asarray(self.model.optimizer.learning_rate)
            tf.summary.scalar("learning_rate", float(rate))
            if self._seen is not None:
                patients = (batch - self._seen) * self.batch_size
                tf.summary.scalar("patients_per_second", patients / (now - self._at))
        self._seen, self._at = batch, now

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Writes the figures of the epoch."""
        step = (epoch + 1) * self.params["steps"]
        for writer, prefix in ((self._train, ""), (self._valid, "val_")):
            with writer.as_default(step):
                for name, value in (logs or {}).items():
                    if name.startswith("val_") == bool(prefix):
                        tf.summary.scalar(
                            f"epoch/{name.removeprefix(prefix)}", float(value)
                        )
            writer.flush()


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d} min"
