"""What can be chosen of a training run; needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from claimpt_tf.codes.categories import HIERARCHY_LEVEL
from claimpt_tf.errors import InputError
from claimpt_tf.tasks.past_days import ahead_days


@dataclass(frozen=True)
class Limits:
    """How much of a timeline a batch keeps.

    Attributes:
      visits: Visits a patient; at scoring the latest ones, in pre-training any run.
      codes: Codes a visit, the first ones.
      lookback_days: At scoring, visits that began so many days before the index date,
        or earlier, are left out; None keeps them. Labelled examples hold none.
    """

    visits: int = 64
    codes: int = 10
    lookback_days: int | None = None


class PretrainConfig(BaseModel):
    """Choices of a pre-training run.

    Attributes:
      preset: Size of the backbone, a key of `claimpt_tf.models.presets.PRESETS`.
      objectives: Weight by objective, or its arguments with `weight` among them, by
        names of `claimpt_tf.training.objectives.OBJECTIVES`; empty for the preset's
        own mix.
      epochs: Passes over the training members, at most.
      batch_size: Members a batch; with several devices, a batch and device.
      learning_rate: Peak rate, reached after `warmup`.
      warmup: Share of the steps in which the rate rises.
      weight_decay: Decoupled decay of matrices.
      clip_norm: Largest norm of all gradients together.
      ema: Decay of the moving average of the weights, which is what is evaluated
        and saved; 0 evaluates the weights themselves.
      dates: Random dates a member and epoch; the paper's network reads a year of
        visits for each of them.
      at_visits: Dates are ends of visits only; else half of them are any day.
      max_visits: Longest run of visits in a batch.
      max_codes: Codes a visit.
      patience: Epochs without a better validation loss before stopping.
      precision: `auto` computes in bfloat16 where there is hardware for it.
      distribution: `auto` takes several GPUs, and several workers where TF_CONFIG
        names them.
      checkpoint_minutes: Least time between two checkpoints within an epoch.
      categories: Files of the user's own categories of codes (docs/codes.md), which
        go before the published ones.
      category_level: Depth at which a hierarchy among them makes categories.
      seed: Of initial weights, order and dates.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str = "small"
    objectives: dict[str, float | dict[str, Any]] = Field(default_factory=dict)
    epochs: int = Field(8, ge=1)
    batch_size: int = Field(64, ge=1)
    learning_rate: float = Field(2e-3, gt=0)
    warmup: float = Field(0.05, ge=0, le=1)
    weight_decay: float = Field(1e-2, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    ema: float = Field(0.99, ge=0, lt=1)
    dates: int = Field(8, ge=1)
    at_visits: bool = False
    max_visits: int = Field(64, ge=2)
    max_codes: int = Field(10, ge=1)
    patience: int = Field(2, ge=1)
    precision: Literal["auto", "float32", "mixed_bfloat16"] = "auto"
    distribution: Literal["auto", "none", "mirrored", "multiworker"] = "auto"
    checkpoint_minutes: float = Field(1.0, ge=0)
    categories: tuple[str, ...] = ()
    category_level: int = Field(HIERARCHY_LEVEL, ge=1)
    seed: int = Field(7, ge=0)

    @property
    def limits(self) -> Limits:
        """Cut of a timeline."""
        return Limits(self.max_visits, self.max_codes)


# Where a preset's own choices differ: the paper's batch and its one question a member.
PRESET_CHOICES: dict[str, dict[str, Any]] = {
    "paper": {"batch_size": 100, "dates": 1, "at_visits": True, "patience": 5}
}


def pretrain_config(
    preset: str = "small", objectives: Sequence[str] = (), **chosen: Any
) -> PretrainConfig:
    """Choices as a command line gives them.

    Args:
      preset: Size of the backbone; it brings choices of its own.
      objectives: `NAME=WEIGHT` each.
      **chosen: Fields of PretrainConfig; None leaves the default.

    Raises:
      InputError: A value that cannot be, or an objective without a weight.

    Example:
      >>> pretrain_config("tiny", ["windows=1", "category=0.5"]).objectives
      {'windows': 1.0, 'category': 0.5}
    """
    weights: dict[str, Any] = {}
    for text in objectives:
        name, _, weight = text.partition("=")
        try:
            weights[name.strip()] = float(weight)
        except ValueError as error:
            raise InputError(
                f"--objective {text}: give a name and a weight, such as windows=1"
            ) from error
    given = {name: value for name, value in chosen.items() if value is not None}
    own = PRESET_CHOICES.get(preset, {})
    try:
        return PretrainConfig(preset=preset, objectives=weights, **{**own, **given})
    except ValidationError as error:
        raise InputError(_options(error)) from error


def _options(error: ValidationError) -> str:
    """Faults by option."""
    return "; ".join(
        f"--{'-'.join(map(str, one['loc'])).replace('_', '-')} is "
        f"{one['input']!r}: {one['msg'].lower()}"
        for one in error.errors()
    )


@dataclass(frozen=True)
class Question:
    """What fine-tuning must know of a task.

    Attributes:
      window_days: Length of the outcome window.
      gap_days: Days between index date and window.
      at_visits: Index dates are ends of visits, not calendar days.
      by_visit: A single visit decides the outcome, so that the past can be searched
        for it.
      own_labels: Labels are that outcome, not told by a table.
    """

    window_days: int
    gap_days: int = 0
    at_visits: bool = False
    by_visit: bool = True
    own_labels: bool = True

    @property
    def ahead_days(self) -> int:
        """Days for which a date of the past should be watched at least."""
        return ahead_days(self.gap_days, self.window_days)


class FinetuneConfig(BaseModel):
    """Choices of a fine-tuning run.

    Attributes:
      recipe: `adapt` trains on the outcome's windows in the cohort's past, then fits
        a regularised head to the labels; `labels` trains all layers on the labels;
        `head` fits a regularised linear head to the frozen states; `auto` picks by
        what the cohort has (docs/finetuning.md) and says what it picked.
      epochs: Passes over the training members (`labels`: rows), at most.
      batch_size: Members (`labels`: rows) a batch.
      learning_rate: Peak rate of the head.
      layer_decay: Factor of the rate from one layer to the one below.
      schedule: `cosine` after a warm-up, or ULMFiT's `slanted` triangle.
      train: `full` trains every layer, `freeze` keeps the embeddings, `probe` keeps
        the whole backbone.
      unfreeze: Train one more layer from epoch to epoch, from the head down.
      weight_decay: Decoupled decay.
      ema: Decay of the moving average of the weights, in `adapt`.
      dates: Dates a member and epoch, in `adapt`.
      rehearsals: Passes over the training members in `adapt`, at most.
      most_rehearsed: Members outside the cohort who take part in `adapt`, at most.
      trees: Whether `adapt` grows trees on decayed counts beside the network.
      foreknown: Whether the head begins with what pre-training knows of the outcome's
        own codes (`claimpt_tf.training.foreknowledge`); that of `adapt` only where
        pre-training read many times the members that it reads, and then the network
        goes on at three hundredths of the rate.
      bags: Networks that are trained from the same start, with seeds from `seed` on;
        their scores are averaged.
      max_visits: Latest visits that are read.
      max_codes: Codes a visit.
      patience: Epochs without a better validation loss before stopping.
      seed: Of new weights, order and dates.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: Literal["auto", "adapt", "labels", "head"] = "auto"
    epochs: int = Field(8, ge=1)
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    layer_decay: float = Field(0.7, gt=0, le=1)
    schedule: Literal["cosine", "slanted"] = "cosine"
    train: Literal["full", "freeze", "probe"] = "full"
    unfreeze: bool = False
    weight_decay: float = Field(1e-2, ge=0)
    ema: float = Field(0.98, ge=0, lt=1)
    dates: int = Field(16, ge=1)
    rehearsals: int = Field(4, ge=1)
    most_rehearsed: int = Field(50_000, ge=0)
    trees: bool = True
    foreknown: bool = True
    bags: int = Field(1, ge=1, le=20)
    max_visits: int = Field(64, ge=2)
    max_codes: int = Field(10, ge=1)
    patience: int = Field(2, ge=1)
    seed: int = Field(7, ge=0)

    @property
    def limits(self) -> Limits:
        """Cut of a timeline."""
        return Limits(self.max_visits, self.max_codes)


def finetune_config(**chosen: Any) -> FinetuneConfig:
    """Choices as a command line gives them.

    Args:
      **chosen: Fields of FinetuneConfig; None leaves the default.

    Raises:
      InputError: A value that cannot be.

    Example:
      >>> finetune_config(epochs=3, seed=None).epochs
      3
    """
    given = {name: value for name, value in chosen.items() if value is not None}
    try:
        return FinetuneConfig(**given)
    except ValidationError as error:
        raise InputError(_options(error)) from error
