"""What can be chosen of a training run; needs no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True)
class Limits:
    """How much of a timeline a batch keeps.

    Attributes:
      visits: Visits a patient; at scoring the latest ones, in pre-training any run.
      codes: Codes a visit, the first ones.
    """

    visits: int = 64
    codes: int = 10


class PretrainConfig(BaseModel):
    """Choices of a pre-training run.

    Attributes:
      preset: Size of the backbone, a key of `claimpt_tf.models.presets.PRESETS`.
      epochs: Passes over the training members, at most.
      batch_size: Members a batch.
      learning_rate: Peak rate, reached after one twentieth of the steps.
      weight_decay: Decoupled decay.
      dates: Random dates a member and epoch.
      max_visits: Longest run of visits in a batch.
      max_codes: Codes a visit.
      patience: Epochs without a better validation loss before stopping.
      seed: Of initial weights, order and dates.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str = "small"
    epochs: int = Field(8, ge=1)
    batch_size: int = Field(64, ge=1)
    learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    dates: int = Field(8, ge=1)
    max_visits: int = Field(64, ge=2)
    max_codes: int = Field(10, ge=1)
    patience: int = Field(2, ge=1)
    seed: int = 7

    @property
    def limits(self) -> Limits:
        """Cut of a timeline."""
        return Limits(self.max_visits, self.max_codes)


@dataclass(frozen=True)
class Question:
    """What fine-tuning must know of a task.

    Attributes:
      window_days: Length of the outcome window.
      gap_days: Days between index date and window.
      at_visits: Index dates are ends of visits, not calendar days.
      by_visit: A single visit decides the outcome, so that the past can be searched
        for it.
    """

    window_days: int
    gap_days: int = 0
    at_visits: bool = False
    by_visit: bool = True


class FinetuneConfig(BaseModel):
    """Choices of a fine-tuning run.

    Attributes:
      recipe: `adapt` trains on the outcome's windows in the cohort's past, then fits
        a regularised head to the labels; `labels` trains all layers on the labels;
        `auto` adapts where the past of the training members holds enough outcomes.
      epochs: Passes over the training rows, at most.
      batch_size: Rows a batch.
      learning_rate: Peak rate of the head.
      layer_decay: Factor of the rate from one layer to the one below.
      weight_decay: Decoupled decay.
      dates: Dates a row and epoch, in `adapt`.
      max_visits: Latest visits that are read.
      max_codes: Codes a visit.
      patience: Epochs without a better validation loss before stopping.
      seed: Of new weights, order and dates.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: Literal["auto", "adapt", "labels"] = "auto"
    epochs: int = Field(6, ge=1)
    batch_size: int = Field(64, ge=1)
    learning_rate: float = Field(2e-3, gt=0)
    layer_decay: float = Field(0.7, gt=0, le=1)
    weight_decay: float = Field(1e-2, ge=0)
    dates: int = Field(8, ge=1)
    max_visits: int = Field(64, ge=2)
    max_codes: int = Field(10, ge=1)
    patience: int = Field(2, ge=1)
    seed: int = 7

    @property
    def limits(self) -> Limits:
        """Cut of a timeline."""
        return Limits(self.max_visits, self.max_codes)
