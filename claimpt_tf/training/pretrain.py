"""Pre-training on everybody's visit sequences."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from claimpt_tf.errors import ArtifactError
from claimpt_tf.models.presets import backbone
from claimpt_tf.training.batches import code_counts, dated_batches
from claimpt_tf.training.choices import PretrainConfig
from claimpt_tf.training.pretrainer import HORIZONS, Pretrainer
from claimpt_tf.training.progress import EpochLine
from claimpt_tf.training.targets import Targets, choose_targets
from claimpt_tf.visits.ids import FIRST_CODE

BACKBONE_FILE = "backbone.keras"
TARGETS_FILE = "targets.json"


def pretrain(
    train: tf.data.Dataset,
    valid: tf.data.Dataset,
    codes: Sequence[str],
    stems: int,
    config: PretrainConfig,
    log_dir: str | None = None,
) -> tuple[Pretrainer, Targets]:
    """Trains a backbone to foresee everybody's next windows.

    Args:
      train: Batches of transformed training members (`preprocessing_fn`'s output).
      valid: The same of held-out members, for early stopping.
      codes: The code vocabulary, in file order.
      stems: Size of the stem vocabulary.
      config: Choices.
      log_dir: Where TensorBoard scalars go, a folder each for train and validation.

    Returns:
      The model with its best weights, and what it predicts.

    Raises:
      ArtifactError: The training split holds nothing to predict.
    """
    keras.utils.set_random_seed(config.seed)
    targets = choose_targets(codes, code_counts(train))
    if not targets.names:
        raise ArtifactError(
            "no category of codes has 30 visits in the training split: "
            "too few claims to pre-train on; add members or years"
        )
    network = backbone(config.preset, FIRST_CODE + len(codes), FIRST_CODE + stems)
    model = Pretrainer(network, targets)

    def batches(source: tf.data.Dataset, fixed: bool) -> tf.data.Dataset:
        return dated_batches(
            source,
            ahead=HORIZONS[0],
            dates=config.dates,
            batch_size=config.batch_size,
            limits=config.limits,
            seed=config.seed,
            fixed=fixed,
        ).prefetch(4)

    training = batches(train, fixed=False)
    steps = config.epochs * sum(1 for _ in training)
    model.compile(
        keras.optimizers.AdamW(
            warmup_cosine(config.learning_rate, steps),
            weight_decay=config.weight_decay,
            global_clipnorm=1.0,
        ),
        jit_compile=False,  # every new batch shape would be compiled again
    )
    model.fit(
        training,
        validation_data=batches(valid, fixed=True),
        epochs=config.epochs,
        verbose=0,
        callbacks=fit_callbacks(
            "pre-training", config.batch_size, config.patience, log_dir
        ),
    )
    return model, targets


def warmup_cosine(peak: float, steps: int) -> Any:
    """Linear warm-up over a twentieth of the steps, then a cosine to a hundredth."""
    warm = max(steps // 20, 1)
    return keras.optimizers.schedules.CosineDecay(
        peak / 100, max(steps - warm, 1), alpha=0.01, warmup_target=peak,
        warmup_steps=warm,
    )  # fmt: skip


def fit_callbacks(
    title: str, batch_size: int, patience: int, log_dir: str | None
) -> list[keras.callbacks.Callback]:
    """Progress, early stopping on validation loss, and TensorBoard scalars."""
    callbacks: list[keras.callbacks.Callback] = [
        EpochLine(title, batch_size),
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.EarlyStopping(
            "val_loss", patience=patience, restore_best_weights=True
        ),
    ]
    if log_dir:
        callbacks.append(keras.callbacks.TensorBoard(log_dir, write_graph=False))
    return callbacks


def save_pretrained(model: Pretrainer, targets: Targets, folder: str) -> None:
    """Writes the backbone and its targets to a folder (local or remote)."""
    tf.io.gfile.makedirs(folder)
    save_keras(model.backbone, os.path.join(folder, BACKBONE_FILE))
    with tf.io.gfile.GFile(os.path.join(folder, TARGETS_FILE), "w") as file:
        file.write(targets.to_json())


def save_keras(model: keras.Model, path: str) -> None:
    """Writes a `.keras` file beside, then renames."""
    part = path.removesuffix(".keras") + ".part.keras"
    model.save(part)
    tf.io.gfile.rename(part, path, overwrite=True)


def load_backbone(folder: str) -> keras.Model:
    """Loads the backbone that `save_pretrained` wrote.

    Raises:
      ArtifactError: The folder holds none.
    """
    path = os.path.join(folder, BACKBONE_FILE)
    if not tf.io.gfile.exists(path):
        raise ArtifactError(f"{folder} holds no {BACKBONE_FILE}: not a pre-trained run")
    return keras.saving.load_model(path)
