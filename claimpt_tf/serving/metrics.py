"""Counters and histograms of a server, in Prometheus' text format.

Names are TensorFlow Serving's, so that its dashboards and alerts work; the Prometheus
client library would rename counters (`_total`) and so cannot write them. Source:
prometheus.io/docs/instrumenting/exposition_formats, version 0.0.4.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Iterable

PATH = "/monitoring/prometheus/metrics"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
REQUESTS = ":tensorflow:serving:request_count"
LATENCY = ":tensorflow:serving:request_latency"
BATCH = ":tensorflow:serving:batching_session:processed_batch_size"
VERSIONS = ":tensorflow:serving:versions_available"
PENDING = ":tensorflow:serving:requests_in_hand"

_HELP = {
    REQUESTS: "Requests by model and status.",
    LATENCY: "Time from request to answer in microseconds.",
    BATCH: "Rows of the batch that a request was run in.",
    VERSIONS: "Versions of a model that are served.",
    PENDING: "Requests that wait or run.",
}
_BUCKETS = {
    LATENCY: tuple(10.0 * 1.8**i for i in range(25)),  # as TensorFlow Serving's
    BATCH: tuple(float(2**i) for i in range(11)),
}
_Labels = tuple[tuple[str, str], ...]


class _Histogram:
    def __init__(self, buckets: int) -> None:
        self.counts, self.total, self.count = [0] * buckets, 0.0, 0


class Metrics:
    """What a server counted so far; safe from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[tuple[str, _Labels], float] = {}
        self._histograms: dict[tuple[str, _Labels], _Histogram] = {}

    def add(self, name: str, **labels: str) -> None:
        """Counts one more."""
        key = (name, tuple(sorted(labels.items())))
        with self._lock:
            self._counters[key] = self._counters.get(key, 0.0) + 1

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Puts a value into a histogram."""
        key = (name, tuple(sorted(labels.items())))
        bounds = _BUCKETS[name]
        with self._lock:
            found = self._histograms.setdefault(key, _Histogram(len(bounds)))
            at = bisect.bisect_left(bounds, value)
            if at < len(bounds):
                found.counts[at] += 1
            found.total += value
            found.count += 1

    def text(self, gauges: Iterable[tuple[str, dict[str, str], float]] = ()) -> str:
        r"""Everything, as Prometheus reads it.

        Args:
            gauges: name, labels and value of what is only known at the moment.

        >>> metrics = Metrics()
        >>> metrics.add(REQUESTS, model_name="m", status="OK")
        >>> print(metrics.text(), end="")
        # HELP :tensorflow:serving:request_count Requests by model and status.
        # TYPE :tensorflow:serving:request_count counter
        :tensorflow:serving:request_count{model_name="m",status="OK"} 1.0
        """
        lines: dict[str, list[str]] = {}
        kinds: dict[str, str] = {}
        with self._lock:
            for (name, labels), value in sorted(self._counters.items()):
                kinds[name] = "counter"
                lines.setdefault(name, []).append(f"{name}{_text(labels)} {value}")
            for (name, labels), found in sorted(
                self._histograms.items(), key=lambda item: item[0]
            ):
                kinds[name] = "histogram"
                lines.setdefault(name, []).extend(_histogram(name, labels, found))
        for name, given, value in gauges:
            kinds[name] = "gauge"
            labels = tuple(sorted(given.items()))
            lines.setdefault(name, []).append(f"{name}{_text(labels)} {float(value)}")
        out = []
        for name, some in lines.items():
            out += [
                f"# HELP {name} {_HELP[name]}",
                f"# TYPE {name} {kinds[name]}",
                *some,
            ]
        return "".join(f"{line}\n" for line in out)


def _histogram(name: str, labels: _Labels, found: _Histogram) -> list[str]:
    lines, below = [], 0
    for bound, count in zip(_BUCKETS[name], found.counts, strict=True):
        below += count
        with_bound = (*labels, ("le", f"{bound:.6g}"))
        lines.append(f"{name}_bucket{_text(with_bound)} {below}")
    lines.append(f"{name}_bucket{_text((*labels, ('le', '+Inf')))} {found.count}")
    lines.append(f"{name}_sum{_text(labels)} {found.total}")
    lines.append(f"{name}_count{_text(labels)} {found.count}")
    return lines


def _text(labels: _Labels) -> str:
    def escape(value: str) -> str:
        return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

    return (
        "{" + ",".join(f'{k}="{escape(v)}"' for k, v in labels) + "}" if labels else ""
    )
