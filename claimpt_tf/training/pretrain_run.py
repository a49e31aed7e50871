"""A pre-training run from records to a folder, without TFX."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tensorflow as tf

import claimpt_tf
from claimpt_tf.training.checkpoints import CHECKPOINT_FILE, CheckpointFile
from claimpt_tf.training.choices import PretrainConfig
from claimpt_tf.training.devices import choose_strategy, is_chief, meet
from claimpt_tf.training.foreknowledge import save_window_head
from claimpt_tf.training.next_visit import NextVisitRecall, next_visit_recall
from claimpt_tf.training.pretrain import pretrain, save_pretrained, write_text
from claimpt_tf.training.run_folder import check_free
from claimpt_tf.training.sources import check_schema, record_source, split_files
from claimpt_tf.training.transfer import (
    Base,
    Continuation,
    fingerprint,
    grow_vocabularies,
    read_vocabularies,
)
from claimpt_tf.training.transform_graph import TransformGraph, analyse

TRANSFORM_FOLDER = "transform"
LOG_FOLDER = "logs"
CONFIG_FILE = "config.json"
METRICS_FILE = "metrics.json"
GROWTH_FILE = "growth.json"  # how a base's vocabulary grew, in the transformation
# Choices that change nothing of what a run computes.
_FREE = {"checkpoint_minutes"}


def pretrain_run(
    data: str,
    output: str,
    config: PretrainConfig,
    resume: bool = False,
    base: Base | None = None,
    say: Callable[[str], None] = lambda line: None,
    strategy: tf.distribute.Strategy | None = None,
) -> tuple[dict[str, Any], NextVisitRecall]:
    """Pre-trains on the records of a folder.

    Args:
      data: A folder that `claimpt ingest` made; vocabularies and weights come from
        its training split, early stopping from its eval split.
      output: The run's folder: `transform/`, `backbone.keras`, `targets.json`,
        `window_head.npz`, `vocabulary.txt`, `config.json`, `metrics.json` and
        TensorBoard's `logs/`.
      config: Choices.
      resume: Go on where an interrupted run with the same choices stands.
      base: Another run to begin with: its network, to whose vocabulary the codes of
        these records are added.
      say: Called with a line about each step.
      strategy: The replicas, where they were chosen before (`choose_strategy`). Of
        several workers the first writes.

    Returns:
      What stands in `metrics.json`, and how well the next visit is foreseen.

    Raises:
      ArtifactError: The records, or what is in `output`, do not fit.
      TrainingError: The loss is not a number.
    """
    begun = time.monotonic()
    strategy = strategy or choose_strategy(config.distribution)
    check_schema(data)
    files = {split: split_files(data, split) for split in ("train", "eval")}
    folder = Path(output)
    transform = folder / TRANSFORM_FOLDER
    if is_chief(strategy):
        check_free(folder, METRICS_FILE, resume)
        folder.mkdir(parents=True, exist_ok=True)
        if not transform.exists():
            say("computing vocabularies from the training split")
            _draw_up(transform, files["train"], base)
    meet(strategy)
    graph = TransformGraph.load(str(transform))
    say(f"{len(graph.codes):,} codes in the vocabulary")
    growth: dict[str, Any] = {}
    start = None
    if base is not None:
        start = Continuation(base, *read_vocabularies(str(transform)))
        growth = json.loads((transform / GROWTH_FILE).read_text())
        say(f"{growth['new_codes']:,} of them are new to {base.folder}")
    chosen = config.model_dump(exclude=_FREE)
    identity = {
        "choices": chosen,
        "vocabulary": graph.fingerprint,
        "records": _sizes(files),
        **({"base": fingerprint(base)} if base else {}),
    }
    cache = tempfile.mkdtemp(prefix=".cache-", dir=folder)
    try:
        train, valid = (
            record_source(paths, graph.layer, os.path.join(cache, split))
            for split, paths in files.items()
        )
        made = pretrain(
            train,
            valid,
            graph.codes,
            graph.stems,
            config,
            str(folder / LOG_FOLDER),
            CheckpointFile(
                str(folder / CHECKPOINT_FILE), identity, config.checkpoint_minutes
            ),
            start,
            strategy,
        )
        if made.chief:
            save_pretrained(made.model, made.targets, graph.codes, str(folder))
            save_window_head(made.model, made.read, str(folder))
        recall = next_visit_recall(made.model, train, valid, graph.codes, config.limits)
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    metrics = {
        "members": made.members,
        "visits": made.visits,
        "history": made.history,
        "precision": made.precision,
        "next_visit": asdict(recall),
        "seconds": round(time.monotonic() - begun, 1),
    }
    if base is not None:
        new = len(set(made.targets.names) - set(base.targets.names))
        metrics["base"] = {"run": base.folder, **growth, "new_targets": new}
    if made.chief:
        facts = {"claimpt_tf": claimpt_tf.__version__, **identity}
        write_text(str(folder / CONFIG_FILE), json.dumps(facts, indent=1) + "\n")
        write_text(str(folder / METRICS_FILE), json.dumps(metrics, indent=1) + "\n")
        (folder / CHECKPOINT_FILE).unlink(missing_ok=True)
    meet(strategy)
    return metrics, recall


def _draw_up(transform: Path, files: list[str], base: Base | None) -> None:
    """Writes the transformation of a run, its vocabularies grown from the base's."""
    draft = transform.with_name(f".{transform.name}")
    shutil.rmtree(draft, ignore_errors=True)
    analyse(files, str(draft))
    if base is not None:
        counts = grow_vocabularies(str(draft), base)
        write_text(str(draft / GROWTH_FILE), json.dumps(counts))
    draft.rename(transform)


def _sizes(files: Mapping[str, list[str]]) -> dict[str, int]:
    """Bytes of each split: enough to notice that the records changed."""
    return {
        split: sum(os.path.getsize(path) for path in paths)
        for split, paths in files.items()
    }
