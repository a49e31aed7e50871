"""Everything a run can be told, in one place."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from claimpt_tf.beam_options import BeamConfig
from claimpt_tf.tasks.spec import Task
from claimpt_tf.training.choices import FinetuneConfig, PretrainConfig
from claimpt_tf.visits.rules import VisitRules


class RunConfig(BaseModel):
    """Choices of a pipeline run.

    Attributes:
      name: Pipeline name in ML Metadata.
      source: Input standard.
      input_base: Folder of the claims tables.
      pattern: Glob of the tables below `input_base`.
      tasks: The clinical questions, each of another name; pre-training is shared.
      rules: How claim lines become visits.
      key_file: File with the key that hashes member ids.
      shift_dates: Move each member's dates by up to a year, intervals kept.
      max_quarantined: Share of lines that may be unusable.
      min_code_count: Rarer codes are unknown to the model.
      pretrain: Choices of pre-training.
      finetune: Choices of fine-tuning.
      scratch: Also train the network without pre-training, for the report.
      min_auroc: The gate: a model below is not pushed.
      min_group_auroc: The same for each sex with `min_events` rows of either class;
        0 sets no such bound.
      min_calibration: The same for the predicted over the observed number of outcomes.
      max_calibration: A model above is not pushed.
      max_auroc_drop: AUROC that may be lost to the last served model of the task; 1
        sets no such bound.
      max_behind_counts: AUROC by which a model may be behind counts for sure: it is not
        pushed where the interval of the difference lies wholly below; 1 sets no bound.
      min_events: With fewer test rows of a class a model cannot be judged, and is not
        pushed.
      past_windows: Rivals on the report include counts that also get past windows,
        the slowest of them.
      true_risk: The simulator's table of true risks, where there is one.
      replicates: Bootstrap replicates of the report.
      serving_name: Folder under which versions are pushed; of several tasks each has
        one of its own, `NAME_TASK`.
      beam: Where Beam runs, its options, and those of single components.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "claimpt"
    source: str
    input_base: str
    pattern: str = "*"
    tasks: tuple[Task, ...] = Field(min_length=1)
    rules: VisitRules = VisitRules()
    key_file: str = ""
    shift_dates: bool = False
    max_quarantined: float = Field(0.2, ge=0, le=1)
    min_code_count: int = Field(11, ge=1)
    pretrain: PretrainConfig = PretrainConfig()
    finetune: FinetuneConfig = FinetuneConfig()
    scratch: bool = True
    min_auroc: float = Field(0.55, ge=0, le=1)
    min_group_auroc: float = Field(0.5, ge=0, le=1)
    min_calibration: float = Field(0.5, ge=0, le=1)
    max_calibration: float = Field(2.0, ge=1)
    max_auroc_drop: float = Field(0.02, ge=0, le=1)
    max_behind_counts: float = Field(0.0, ge=0, le=1)
    min_events: int = Field(20, ge=2)
    past_windows: bool = True
    true_risk: str = ""
    replicates: int = Field(1000, ge=1)
    serving_name: str = "claimpt"
    beam: BeamConfig = BeamConfig()

    @field_validator("tasks")
    @classmethod
    def _names_differ(cls, tasks: tuple[Task, ...]) -> tuple[Task, ...]:
        names = [task.name for task in tasks]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"task {twice[0]} is given more than once")
        return tasks

    def served_as(self, task: Task) -> str:
        """The name under which a task's model is served."""
        one = len(self.tasks) == 1
        return self.serving_name if one else f"{self.serving_name}_{task.name}"
