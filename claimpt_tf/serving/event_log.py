"""The server's log: one JSON object a line, never a word of a request's content."""

from __future__ import annotations

import json
import logging
import sys
import time

LOGGER = logging.getLogger("claimpt_tf.serving")


def log_event(event: str, level: int = logging.INFO, **fields: object) -> None:
    """Writes one event; callers pass counts, codes and times, never inputs.

    >>> LOGGER.addHandler(logging.NullHandler())
    >>> log_event("loaded", version=3, seconds=0.4)
    """
    if LOGGER.isEnabledFor(level):
        moment = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
        record = {
            "time": f"{stamp}.{int(moment % 1 * 1000):03d}Z",
            "level": logging.getLevelName(level).lower(),
            "event": event,
            **fields,
        }
        LOGGER.log(level, json.dumps(record, default=str))


def log_to_stderr(level: int = logging.INFO) -> None:
    """Sends the events to standard error, unless the caller has set a handler."""
    if not LOGGER.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        LOGGER.addHandler(handler)
        LOGGER.propagate = False
    LOGGER.setLevel(level)
