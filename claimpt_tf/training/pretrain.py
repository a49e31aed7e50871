"""Pre-training on everybody's visit sequences."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from claimpt_tf.codes.category_files import load_categories
from claimpt_tf.errors import ArtifactError
from claimpt_tf.models.presets import backbone
from claimpt_tf.training.batches import (
    batch_count,
    batches_from,
    code_counts,
    dated_batches,
)
from claimpt_tf.training.checkpoints import CheckpointFile
from claimpt_tf.training.choices import PretrainConfig
from claimpt_tf.training.devices import (
    choose_precision,
    choose_strategy,
    dtype_policy,
    is_chief,
)
from claimpt_tf.training.loop import TrainingLoop
from claimpt_tf.training.objectives import HORIZONS, default_mix
from claimpt_tf.training.pretrainer import Pretrainer
from claimpt_tf.training.progress import EpochLine, Scalars
from claimpt_tf.training.rowwise import RowwiseAdamW
from claimpt_tf.training.run_folder import whole
from claimpt_tf.training.schedules import warmup_cosine
from claimpt_tf.training.seeds import set_seed
from claimpt_tf.training.targets import Targets, choose_targets
from claimpt_tf.training.weight_average import WeightAverage
from claimpt_tf.visits.ids import FIRST_CODE

if TYPE_CHECKING:  # which imports this module
    from claimpt_tf.training.transfer import Continuation

__all__ = [
    "Pretrained",
    "load_backbone",
    "pretrain",
    "save_keras",
    "save_pretrained",
    "warmup_cosine",
]

BACKBONE_FILE = "backbone.keras"
TARGETS_FILE = "targets.json"
VOCABULARY_FILE = "vocabulary.txt"


@dataclass(frozen=True)
class Pretrained:
    """What pre-training made.

    Attributes:
      model: The network with its heads, its weights those of the best epoch.
      targets: What it predicts.
      history: Figures of each epoch.
      members: Training members with a visit.
      visits: Their visits.
      read: Members that its window head learned from, those of a base included.
      precision: Keras dtype policy that was used.
      chief: Whether this process is the one that writes, of several workers.
    """

    model: Pretrainer
    targets: Targets
    history: list[dict[str, float]]
    members: int
    visits: int
    read: int
    precision: str
    chief: bool


def pretrain(
    train: tf.data.Dataset,
    valid: tf.data.Dataset,
    codes: Sequence[str],
    stems: int,
    config: PretrainConfig,
    log_dir: str | None = None,
    checkpoint: CheckpointFile | None = None,
    base: Continuation | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> Pretrained:
    """Trains a backbone to foresee everybody's claims.

    Args:
      train: Batches of transformed training members (`preprocessing_fn`'s output).
      valid: The same of held-out members, for early stopping.
      codes: The code vocabulary, in file order.
      stems: Size of the stem vocabulary.
      config: Choices.
      log_dir: Where TensorBoard scalars go, a folder each for train and validation.
      checkpoint: Where the run's state is kept; it goes on from there if there is one.
      base: Another run's network, targets and window head to begin with; else all is
        fresh.
      strategy: The replicas, where they were chosen before (`choose_strategy`).

    Raises:
      InputError: A file of categories cannot be used.
      ArtifactError: A split holds nothing to learn from, or the checkpoint does not
        fit.
      TrainingError: The loss is not a number.
    """
    set_seed(config.seed)
    strategy = strategy or choose_strategy(config.distribution)
    steps, members, visits = batch_count(train, config.batch_size)
    for split, counted in (("train", members), ("eval", batch_count(valid, 1)[1])):
        if not counted:
            raise ArtifactError(
                f"no member of the {split} split has a visit: nothing to pre-train "
                "on; add members, or give other split shares when ingesting"
            )
    mix = config.objectives or default_mix(config.preset)
    paper = config.preset == "paper"
    categories = load_categories(config.categories, config.category_level)
    targets = choose_targets(
        codes,
        code_counts(train),
        most=None if paper else 512,
        acute=not paper,
        category_of=categories,
    )
    if base is not None:
        targets = base.targets(targets, categories)
    if not targets.names:
        raise ArtifactError(
            "no category of codes has 30 visits in the training split: "
            "too few claims to pre-train on; add members or years"
        )
    precision = choose_precision(config.precision)
    with strategy.scope(), dtype_policy(precision):
        network = (
            backbone(config.preset, FIRST_CODE + len(codes), FIRST_CODE + stems)
            if base is None
            else base.network(precision)
        )
        model = Pretrainer(network, targets, mix, config.seed)
        read = members + (base.begin_heads(model) if base is not None else 0)
        model.compile(
            RowwiseAdamW(
                learning_rate=warmup_cosine(
                    config.learning_rate,
                    config.epochs * steps // strategy.num_replicas_in_sync,
                    config.warmup,
                ),
                weight_decay=config.weight_decay,
                global_clipnorm=config.clip_norm,
            ),
            jit_compile=False,  # every new batch shape would be compiled again
        )
    together = config.batch_size * strategy.num_replicas_in_sync
    callbacks: list[keras.callbacks.Callback] = []
    chief = is_chief(strategy)
    if chief:
        callbacks.append(EpochLine("pre-training", together))
        if log_dir:
            callbacks.append(Scalars(log_dir, together))
    loop = TrainingLoop(
        model,
        strategy,
        WeightAverage(model.trainable_variables, config.ema),
        config.epochs,
        config.patience,
        callbacks,
        checkpoint,
    )
    cut: dict[str, Any] = {
        "ahead": HORIZONS[0],
        "dates": config.dates,
        "batch_size": config.batch_size,
        "limits": config.limits,
        "seed": config.seed,
        "only_visits": config.at_visits,
    }
    history = loop.run(
        lambda epoch, start, steps: batches_from(
            train, epoch=epoch, start=start, steps=steps, **cut
        ),
        dated_batches(valid, fixed=True, **cut).cache(),
        steps,
    )
    return Pretrained(model, targets, history, members, visits, read, precision, chief)


def save_pretrained(
    model: Pretrainer, targets: Targets, codes: Sequence[str], folder: str
) -> None:
    """Writes the backbone, its targets and its vocabulary to a folder.

    The backbone is written in float32, whatever it was trained in.

    Args:
      model: From `pretrain`.
      targets: What it predicts.
      codes: The code vocabulary, in file order.
      folder: Where to write, local or remote.
    """
    tf.io.gfile.makedirs(folder)
    save_keras(in_float32(model.backbone), os.path.join(folder, BACKBONE_FILE))
    write_text(os.path.join(folder, TARGETS_FILE), targets.to_json())
    write_text(os.path.join(folder, VOCABULARY_FILE), "\n".join(codes) + "\n")


def in_float32(network: keras.Model) -> keras.Model:
    """The same network computing in float32; itself where it does already."""
    if network.dtype_policy.name == "float32":
        return network
    with dtype_policy("float32"):
        twin = type(network).from_config({**network.get_config(), "dtype": "float32"})
    twin.set_weights(network.get_weights())
    return twin


def save_keras(model: keras.Model, path: str) -> None:
    """Writes a `.keras` file beside, then renames."""
    part = path.removesuffix(".keras") + ".part.keras"
    model.save(part)
    tf.io.gfile.rename(part, path, overwrite=True)


def write_text(path: str, text: str) -> None:
    """Writes a text file beside, then renames."""
    with tf.io.gfile.GFile(f"{path}.part", "w") as file:
        file.write(text)
    tf.io.gfile.rename(f"{path}.part", path, overwrite=True)


def load_backbone(
    folder: str, codes: Sequence[str] | None = None, fresh: bool = False
) -> Any:
    """Loads the backbone that `save_pretrained` wrote.

    Args:
      folder: Where it is.
      codes: The vocabulary that its inputs will be made with, to be checked.
      fresh: Give it new weights instead of those it was pre-trained to.

    Raises:
      ArtifactError: The folder holds none, or one of another vocabulary.
    """
    path = os.path.join(folder, BACKBONE_FILE)
    if not tf.io.gfile.exists(path):
        raise ArtifactError(f"{folder} holds no {BACKBONE_FILE}: not a pre-trained run")
    if codes is not None:
        _check_vocabulary(folder, codes)
    with whole(path):
        found = keras.saving.load_model(path)
    return type(found).from_config(found.get_config()) if fresh else found


def _check_vocabulary(folder: str, codes: Sequence[str]) -> None:
    path = os.path.join(folder, VOCABULARY_FILE)
    if not tf.io.gfile.exists(path):
        raise ArtifactError(f"{folder} holds no {VOCABULARY_FILE}: pre-train again")
    with tf.io.gfile.GFile(path) as file:
        theirs = file.read().splitlines()
    if theirs == list(codes):
        return
    unknown = sorted(set(codes) - set(theirs))
    differ = next(
        (n for n, (a, b) in enumerate(zip(theirs, codes, strict=False)) if a != b),
        min(len(theirs), len(codes)),
    )
    raise ArtifactError(
        f"the network in {folder} was pre-trained with another vocabulary: "
        f"{len(theirs):,} codes, not {len(codes):,}; {len(unknown):,} codes are new to "
        f"it, and from place {differ + 1} on codes stand for others. Use the "
        "transformation it was trained with, or pre-train on these records"
    )
