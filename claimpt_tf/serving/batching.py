"""Joins requests that arrive together into one run of the model.

The first request of a batch leads it: its thread waits for a free place to run, and
whatever arrives meanwhile joins. So an idle server adds no time, and a busy one runs
large batches.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from claimpt_tf.serving.cpp_session import CppSession, as_array
from claimpt_tf.serving.errors import InferenceError
from claimpt_tf.serving.models_config import Batching
from claimpt_tf.serving.saved_model import SignatureSpec

Arrays = dict[str, np.ndarray]


class _Task:
    def __init__(self, inputs: Arrays, rows: int) -> None:
        self.inputs, self.rows = inputs, rows
        self.done = threading.Event()
        self.outputs: Arrays | None = None
        self.error: BaseException | None = None


class _Batch:
    def __init__(self, first: _Task) -> None:
        self.tasks, self.rows = [first], first.rows


class Batcher:
    """Runs signatures, several requests at a time.

    Args:
        options: sizes and limits.
    """

    def __init__(self, options: Batching) -> None:
        self.options = options
        self._lock = threading.Lock()
        self._open: dict[Any, _Batch] = {}
        self._waiting = 0
        self._slots = threading.BoundedSemaphore(options.threads)

    def run(
        self,
        session: CppSession,
        signature: str,
        inputs: Mapping[str, Any],
        seconds: float | None = None,
    ) -> tuple[Arrays, int]:
        """Runs one request, alone or with others.

        Args:
            session: the model; the caller holds it until the answer is there.
            signature: one of its signatures.
            inputs: an array for each input.
            seconds: how long the answer is worth waiting for.

        Returns:
            The outputs of this request's rows, and the rows of the batch it was in.

        Raises:
            InferenceError: as CppSession.run; RESOURCE_EXHAUSTED when too many
                batches wait; DEADLINE_EXCEEDED when the time is up.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        spec = session.signatures.get(signature)
        if spec is None or set(inputs) != set(spec.inputs) or not _joinable(spec):
            with self._slot(deadline):
                return session.run(signature, inputs), 0
        arrays = {
            name: as_array(name, s, inputs[name]) for name, s in spec.inputs.items()
        }
        sizes = {len(array) for array in arrays.values()}
        if len(sizes) != 1 or sizes == {0}:
            with self._slot(deadline):
                return session.run(signature, arrays), 0
        task = _Task(arrays, sizes.pop())
        key = (id(session), signature, *self._shape(spec, arrays))
        with self._lock:
            batch = self._open.get(key)
            if batch and batch.rows + task.rows <= self.options.max_batch_size:
                batch.tasks.append(task)
                batch.rows += task.rows
                leader = False
            else:
                if self._waiting >= self.options.max_enqueued:
                    raise InferenceError(
                        "RESOURCE_EXHAUSTED",
                        "the batch scheduling queue is full; try again",
                    )
                batch = self._open[key] = _Batch(task)
                self._waiting += 1
                leader = True
        if leader:
            self._lead(session, signature, spec, key, batch)
        elif not task.done.wait(_left(deadline)):
            raise _too_late()
        if task.error is not None:
            raise task.error
        assert task.outputs is not None
        return task.outputs, batch.rows

    def _slot(self, deadline: float | None) -> _Slot:
        return _Slot(self._slots, deadline)

    def _shape(self, spec: SignatureSpec, arrays: Arrays) -> tuple[Any, ...]:
        """What requests must have in common to be joined."""
        if self.options.pad and _paddable(spec):
            return tuple(array.ndim for array in arrays.values())
        return tuple(array.shape[1:] for array in arrays.values())

    def _lead(
        self,
        session: CppSession,
        signature: str,
        spec: SignatureSpec,
        key: Any,
        batch: _Batch,
    ) -> None:
        full = self.options.max_batch_size
        try:
            if self.options.timeout_seconds and batch.rows < full:
                end = time.monotonic() + self.options.timeout_seconds
                while batch.rows < full and (left := end - time.monotonic()) > 0:
                    time.sleep(min(left, 0.0005))
            self._slots.acquire()
            try:
                with self._lock:
                    self._waiting -= 1
                    if self._open.get(key) is batch:
                        del self._open[key]
                _run(session, signature, spec, batch.tasks)
            finally:
                self._slots.release()
        finally:
            for task in batch.tasks:
                task.done.set()


class _Slot:
    """A place to run, or DEADLINE_EXCEEDED."""

    def __init__(
        self, slots: threading.BoundedSemaphore, deadline: float | None
    ) -> None:
        self._slots, self._deadline = slots, deadline

    def __enter__(self) -> None:
        if not self._slots.acquire(timeout=_left(self._deadline)):
            raise _too_late()

    def __exit__(self, *_: object) -> None:
        self._slots.release()


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _too_late() -> InferenceError:
    return InferenceError("DEADLINE_EXCEEDED", "the time for this request is up")


def _joinable(spec: SignatureSpec) -> bool:
    """Whether all tensors have rows, of a number that is free."""
    tensors = (*spec.inputs.values(), *spec.outputs.values())
    return all(t.shape is not None and t.shape[:1] == (-1,) for t in tensors)


def _paddable(spec: SignatureSpec) -> bool:
    """Whether padding an input leaves the outputs' shapes alone."""
    return all(
        out.shape is not None and -1 not in out.shape[1:]
        for out in spec.outputs.values()
    )


def _run(
    session: CppSession, signature: str, spec: SignatureSpec, tasks: list[_Task]
) -> None:
    if len(tasks) > 1:
        try:
            joined = {
                name: _stack([t.inputs[name] for t in tasks]) for name in spec.inputs
            }
            outputs = session.run(signature, joined)
        except InferenceError:
            pass  # one of them is to blame: each alone, so that only it fails
        else:
            begin = 0
            for task in tasks:
                end = begin + task.rows
                task.outputs = {k: v[begin:end] for k, v in outputs.items()}
                begin = end
            return
    for task in tasks:
        try:
            task.outputs = session.run(signature, task.inputs)
        except BaseException as error:  # it belongs to the thread that asked
            task.error = error


def _stack(arrays: list[np.ndarray]) -> np.ndarray:
    """Rows of all arrays; shorter ones are padded with "" or 0.

    >>> _stack([np.array([[1, 2]]), np.array([[3]])]).tolist()
    [[1, 2], [3, 0]]
    """
    inner = tuple(
        max(sizes) for sizes in zip(*(a.shape[1:] for a in arrays), strict=True)
    )
    if all(array.shape[1:] == inner for array in arrays):
        return np.concatenate(arrays)
    fill = b"" if arrays[0].dtype == object else 0
    rows = sum(len(array) for array in arrays)
    stacked = np.full((rows, *inner), fill, dtype=arrays[0].dtype)
    begin = 0
    for array in arrays:
        place = (slice(begin, begin + len(array)), *map(slice, array.shape[1:]))
        stacked[place] = array
        begin += len(array)
    return stacked
