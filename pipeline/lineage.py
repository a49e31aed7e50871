"""What ML Metadata knows of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import ml_metadata as mlmd
from tfx.orchestration.metadata import sqlite_metadata_connection_config

_EXECUTION = mlmd.proto.Execution


@dataclass(frozen=True)
class NodeRun:
    """One component's execution in one run.

    Attributes:
      cached: Whether an earlier execution's outputs were taken.
      complete: Whether it ended well, cached or not.
      outputs: Artifacts by output name.
    """

    cached: bool
    complete: bool
    outputs: dict[str, list[Any]] = field(default_factory=dict)

    def uri(self, output: str) -> str:
        """Where the first artifact of an output lies."""
        return self.outputs[output][0].uri


def sqlite(path: str) -> Any:
    """Connection to a metadata file."""
    return sqlite_metadata_connection_config(path)


def latest_run(metadata: Any) -> dict[str, NodeRun]:
    """The executions of the newest pipeline run, by component id.

    Args:
      metadata: A connection as from `sqlite`.

    Returns:
      Empty when nothing has run yet.
    """
    store = mlmd.MetadataStore(metadata)
    runs = store.get_contexts_by_type("pipeline_run")
    if not runs:
        return {}
    newest = max(runs, key=lambda run: run.create_time_since_epoch)
    nodes = {}
    for execution in store.get_executions_by_context(newest.id):
        state = execution.last_known_state
        nodes[_node_of(store, execution.id)] = NodeRun(
            cached=state == _EXECUTION.CACHED,
            complete=state in (_EXECUTION.CACHED, _EXECUTION.COMPLETE),
            outputs=_outputs_of(store, execution.id),
        )
    return nodes


def _node_of(store: mlmd.MetadataStore, execution: int) -> str:
    contexts = store.get_contexts_by_execution(execution)
    names = {context.type: context.name for context in contexts}
    return names["node"].removeprefix(f"{names['pipeline']}.")


def of_task(nodes: Mapping[str, NodeRun], suffix: str) -> dict[str, NodeRun]:
    """The executions of one task of several, by the ids that a single task has.

    >>> nodes = {"Transform": 1, "Pusher.self_harm": 2, "Pusher.high_cost": 3}
    >>> of_task(nodes, ".self_harm")
    {'Pusher': 2}
    """
    return {
        name.removesuffix(suffix): node
        for name, node in nodes.items()
        if name.endswith(suffix)
    }


def _outputs_of(store: mlmd.MetadataStore, execution: int) -> dict[str, list[Any]]:
    outputs: dict[str, list[Any]] = {}
    for event in store.get_events_by_execution_ids([execution]):
        if event.type == mlmd.proto.Event.OUTPUT:
            key = event.path.steps[0].key
            outputs.setdefault(key, []).append(event.artifact_id)
    return {
        key: [artifact for artifact in store.get_artifacts_by_id(ids)]
        for key, ids in outputs.items()
    }
