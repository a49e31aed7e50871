"""The pipeline: claims tables in, a served model and its report out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from tfx.components import (
    ExampleValidator,
    Pusher,
    StatisticsGen,
    Trainer,
    Transform,
)
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import pusher_pb2, trainer_pb2, transform_pb2
from tfx.types import BaseChannel

from claimpt_tf.beam_options import BeamConfig
from claimpt_tf.codes.category_files import categories_digest
from claimpt_tf.errors import InputError, TaskError
from claimpt_tf.tasks.spec import Task
from claimpt_tf.tasks.unlabelled import UNLABELLED
from claimpt_tf.training.choices import FinetuneConfig
from claimpt_tf.visits.schema import SCHEMA_PATH
from components.claims_example_gen.component import ClaimsExampleGen
from components.cohort_gen.component import CohortGen
from components.last_served.component import EvaluatorBesideLast, LastServed
from components.model_report.component import ModelReport
from components.release_gate.component import ReleaseGate
from components.serving_validator.component import ServingValidator
from pipeline.configs import RunConfig
from pipeline.gate import eval_config

PRETRAIN = "components.trainer.pretraining.run_fn"
FINETUNE = "components.trainer.finetuning.run_fn"


def create_pipeline(
    config: RunConfig,
    pipeline_root: str,
    serving_dir: str,
    schema_file: str = str(SCHEMA_PATH),
    metadata: Any = None,
    node_id: Callable[[str], str] = str,
) -> Pipeline:
    """Builds the pipeline, the same for every orchestrator.

    Args:
      config: Choices of the run.
      pipeline_root: Where artifacts go.
      serving_dir: Where blessed models are pushed, one numbered folder a version.
      schema_file: The curated schema of records.
      metadata: ML Metadata connection; the orchestrator's own when None.
      node_id: How the orchestrator spells a component's id.

    Raises:
      TaskError: A task's labels are not yes or no.
    """
    claims = ClaimsExampleGen(
        input_base=config.input_base,
        source=config.source,
        rules=config.rules,
        key_file=config.key_file,
        max_quarantined=config.max_quarantined,
        shift_dates=config.shift_dates,
        pattern=config.pattern,
    )
    records = claims.outputs["examples"]
    statistics = StatisticsGen(examples=records)
    schema = ImportSchemaGen(schema_file=schema_file)
    validator = ExampleValidator(
        statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"]
    )
    cohorts = {
        task.name: CohortGen(examples=records, task=task, key_file=config.key_file)
        for task in config.tasks
    }
    transform = Transform(
        examples=records,
        schema=schema.outputs["schema"],
        preprocessing_fn="claimpt_tf.visits.preprocessing.preprocessing_fn",
        custom_config={"min_code_count": config.min_code_count},
        splits_config=transform_pb2.SplitsConfig(
            analyze=["train"], transform=["train", "eval"]
        ),
    )
    for cohort in cohorts.values():
        # A task that matches nobody must fail before any training starts.
        transform.add_upstream_node(cohort)
    graph = transform.outputs["transform_graph"]
    pretrainer = Trainer(
        run_fn=PRETRAIN,
        examples=transform.outputs["transformed_examples"],
        transform_graph=graph,
        schema=schema.outputs["schema"],
        custom_config={
            "config": config.pretrain.model_dump(),
            # A changed file is a changed run, though its name stays.
            "categories": categories_digest(config.pretrain.categories),
        },
    ).with_id("Pretrainer")
    components: list[BaseNode] = [
        claims, statistics, schema, validator, transform, pretrainer
    ]  # fmt: skip
    for task in config.tasks:
        if task.label_kind not in ("binary", None):
            raise TaskError(
                f"task {task.name}: its labels are {task.label_kind}, and the pipeline "
                "serves answers to yes-or-no questions; use `claimpt finetune`"
            )
        branch = _branch(
            config, task, records, cohorts[task.name], graph, pretrainer, serving_dir
        )  # fmt: skip
        for component in branch:
            node = branch_id(component.id, task, config.tasks)
            components.append(component.with_id(node_id(node)))
    return Pipeline(
        pipeline_name=config.name,
        pipeline_root=pipeline_root,
        metadata_connection_config=metadata,
        enable_cache=True,
        beam_pipeline_args=list(config.beam.to_args()),
        components=_with_beam_options(config.beam, components),
    )


def branch_id(component: str, task: Task, tasks: Sequence[Task]) -> str:
    """Id of a component of one task: with the task's name where there are several.

    >>> from claimpt_tf.tasks.spec import load_task
    >>> asthma, harm = load_task("asthma_exacerbation"), load_task("self_harm")
    >>> branch_id("Pusher", asthma, [asthma, harm])
    'Pusher.asthma_exacerbation'
    >>> branch_id("Pusher", asthma, [asthma])
    'Pusher'
    """
    return component if len(tasks) == 1 else f"{component}.{task.name}"


def _branch(
    config: RunConfig,
    task: Task,
    records: BaseChannel,
    cohort: CohortGen,
    graph: BaseChannel,
    pretrainer: Trainer,
    serving_dir: str,
) -> list[BaseNode]:
    """What is a task's own: from its cohort to its served model and report."""
    finetuner = _finetuner(
        config, cohort, graph, config.finetune, pretrainer.outputs["model"]
    ).with_id("Finetuner")
    optional: list[BaseNode] = []
    scratch = None
    if config.scratch:
        plain = config.finetune.model_copy(
            update={"recipe": "labels", "layer_decay": 1.0}
        )
        trainer = _finetuner(config, cohort, graph, plain, export=False)
        optional.append(trainer.with_id("ScratchTrainer"))
        scratch = trainer.outputs["model"]
    served_at = os.path.join(serving_dir, config.served_as(task))
    last = LastServed(finetuner.outputs["model"], served_at, task.name)
    evaluator = EvaluatorBesideLast(
        examples=cohort.outputs["cohort"],
        model=finetuner.outputs["model"],
        baseline_model=last.outputs["model"],
        eval_config=eval_config(config),
        example_splits=["test"],
    ).with_id("Evaluator")
    serving = ServingValidator(
        model=finetuner.outputs["model"], examples=cohort.outputs["cohort"]
    )
    report = ModelReport(
        model=finetuner.outputs["model"],
        scratch=scratch,
        cohort=cohort.outputs["cohort"],
        attrition=cohort.outputs["attrition"],
        # True risks stand by calendar day, which shifted records do not have.
        task=task.model_copy(update={"truth": None}) if config.shift_dates else task,
        source=config.source,
        true_risk=config.true_risk,
        key_file=config.key_file,
        replicates=config.replicates,
        seed=config.finetune.seed,
        min_events=config.min_events,
        past_windows=config.past_windows,
        records=records,
        transform_graph=graph,
        base_model=pretrainer.outputs["model"],
        parameters={
            "records": config.model_dump(include={"source", "shift_dates", "rules"}),
            "vocabulary": config.model_dump(include={"min_code_count"}),
            "pre-training": config.pretrain.model_dump(),
            "fine-tuning": config.finetune.model_dump(),
        },
    )
    gate = ReleaseGate(
        model=finetuner.outputs["model"],
        evaluation=evaluator.outputs["evaluation"],
        report=report.outputs["report"],
        max_behind_counts=config.max_behind_counts,
    )
    pusher = Pusher(
        model=finetuner.outputs["model"],
        model_blessing=gate.outputs["blessing"],
        infra_blessing=serving.outputs["blessing"],
        push_destination=pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=served_at)
        ),
    )
    return [
        cohort, finetuner, *optional, last, evaluator, serving, report, gate, pusher
    ]  # fmt: skip


def _with_beam_options(beam: BeamConfig, components: list[BaseNode]) -> list[BaseNode]:
    """Gives single components the Beam options that are theirs alone.

    A name without a task's means that component of every task.
    """
    using_beam = [c for c in components if isinstance(c, BaseBeamComponent)]
    names = {id(c): {c.id, c.id.partition(".")[0]} for c in using_beam}
    for name in beam.components:
        meant = [c for c in using_beam if name in names[id(c)]]
        if not meant:
            raise InputError(
                f"beam.components: {name} does not run on Beam here; these do: "
                f"{', '.join(sorted(c.id for c in using_beam))}"
            )
        for component in meant:
            component.with_beam_pipeline_args(beam.component_args(name))
    return components


def _finetuner(
    config: RunConfig,
    cohort: CohortGen,
    graph: Any,
    finetune: FinetuneConfig,
    base_model: Any = None,
    export: bool = True,
) -> Trainer:
    return Trainer(
        run_fn=FINETUNE,
        examples=cohort.outputs["cohort"],
        train_args=trainer_pb2.TrainArgs(splits=["train"]),
        eval_args=trainer_pb2.EvalArgs(
            splits=["eval", "test", UNLABELLED]
        ),  # test: scored only
        transform_graph=graph,
        base_model=base_model,
        custom_config={
            "config": finetune.model_dump(),
            "preset": config.pretrain.preset,
            "export": export,
        },
    )
