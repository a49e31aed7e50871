"""The pipeline on this machine, with ML Metadata in SQLite: `claimpt run`."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from claimpt_tf.claims.preflight import check_input
from claimpt_tf.claims.privacy import check_key_place, load_key
from claimpt_tf.claims.spans import span_folders
from claimpt_tf.codes.category_files import load_categories
from claimpt_tf.errors import GateError
from claimpt_tf.visits.summary import Summary
from pipeline.configs import RunConfig
from pipeline.options import build_config, shared_options

METADATA_FILE, CONFIG_FILE, LOG_FILE = "metadata.sqlite", "run.json", "log.txt"


@dataclass(frozen=True)
class TaskResult:
    """Where a run left what people look for of one task.

    Attributes:
      pushed: Version folder of the served model, None when it was not released.
      reasons: Why it was not.
      report: Folder with `report.html`, `metrics.json` and `predictions.parquet`.
    """

    pushed: str | None
    reasons: list[str]
    report: str


@dataclass(frozen=True)
class RunResult:
    """What a run made.

    Attributes:
      tasks: By name of the task, in order.
      cached: Components that took earlier outputs.
      executed: Components that ran.
    """

    tasks: dict[str, TaskResult]
    cached: tuple[str, ...]
    executed: tuple[str, ...]

    @property
    def only(self) -> TaskResult:
        """What there is of the one task."""
        (found,) = self.tasks.values()
        return found


def run_pipeline(
    config: RunConfig,
    output: str,
    verbose: bool = False,
    console: Console | None = None,
) -> RunResult:
    """Runs the pipeline in this process; unchanged components are taken from cache.

    Args:
      config: Choices of the run.
      output: The run's folder: metadata, artifacts, log, report and pushed models.
      verbose: Show the whole log on the screen too.
      console: Where progress goes, standard error by default.

    Returns:
      What came out; a model that fails the gate is not an error here.

    Raises:
      ClaimPTError: The input or the task is unusable.
    """
    console = console or Console(stderr=True, highlight=False)
    folder = Path(output).resolve()
    check_key_place(folder, config.key_file or None)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).write_text(config.model_dump_json(indent=1))
    began = time.monotonic()
    with console.status("loading TFX"):
        from tfx.orchestration.local.local_dag_runner import LocalDagRunner

        from components.claims_example_gen.executor import SUMMARY_FILE
        from components.cohort_gen.executor import SCREEN_FILE
        from pipeline.gate import pushed_to, reasons_not_pushed
        from pipeline.lineage import latest_run, of_task, sqlite
        from pipeline.pipeline import create_pipeline
        from pipeline.progress import ComponentLines, logs_to

    metadata = sqlite(str(folder / METADATA_FILE))
    pipeline = create_pipeline(
        config, str(folder / "artifacts"), str(folder / "serving"), metadata=metadata
    )

    def was_cached(node: str) -> bool:
        return latest_run(metadata)[node].cached

    def finished(node: str) -> None:
        if node == "ClaimsExampleGen":
            _show_claims(
                console, latest_run(metadata)[node].uri("examples"), SUMMARY_FILE
            )
        if node.partition(".")[0] == "CohortGen":
            _show_cohort(
                console, latest_run(metadata)[node].uri("attrition"), SCREEN_FILE
            )

    lines = ComponentLines(console, was_cached, finished)
    with logs_to(str(folder / LOG_FILE), lines, verbose):
        LocalDagRunner().run(pipeline)
        nodes = latest_run(metadata)

    several, made = len(config.tasks) > 1, {}
    for task in config.tasks:
        own = of_task(nodes, f".{task.name}") if several else nodes
        pushed = pushed_to(own)
        report = folder / "report" / task.name if several else folder / "report"
        _copy_beside_then_rename(own["ModelReport"].uri("report"), report)
        reasons = [] if pushed else reasons_not_pushed(own)
        made[task.name] = TaskResult(pushed, reasons, str(report))
    console.print(f"  done in {time.monotonic() - began:.0f} s")
    return RunResult(
        tasks=made,
        cached=tuple(name for name, node in nodes.items() if node.cached),
        executed=tuple(name for name, node in nodes.items() if not node.cached),
    )


def _copy_beside_then_rename(source: str, target: Path) -> None:
    beside = target.with_name(target.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    target.parent.mkdir(exist_ok=True)
    shutil.copytree(source, beside)
    shutil.rmtree(target, ignore_errors=True)
    beside.rename(target)


def _show_claims(console: Console, examples: str, name: str) -> None:
    summary = Summary.from_json((Path(examples) / name).read_text())
    console.print(
        f"      {summary.lines:,} lines of {summary.members:,} members, "
        f"{sum(summary.visits.values()):,} visits; {summary.merged:,} lines merged"
    )
    for reason, lines in summary.quarantined.items():
        console.print(f"      [yellow]quarantined[/] {lines:,} lines: {reason}")


def _show_cohort(console: Console, attrition: str, name: str) -> None:
    for line in (Path(attrition) / name).read_text().splitlines():
        console.print(f"      {line}", markup=False, soft_wrap=True)


def find_true_risk(input_base: str) -> str:
    """The simulator's table of true risks beside simulated claims, or ""."""
    found = sorted(Path(input_base).glob("true_risk.*"))
    return str(found[0]) if found else ""


@click.command()
@click.option(
    "--input",
    "input_base",
    required=True,
    help="Folder of the claims tables, or one a month as CLAIMS/month-{SPAN}.",
)
@click.option("--output", required=True, help="Folder of the run; a rerun goes on.")
@click.option("--verbose", is_flag=True, help="Show the whole log.")
@shared_options
def run_command(input_base: str, output: str, verbose: bool, **options: Any) -> None:
    """Run the pipeline here: claims in, a served model and a report out.

    Components whose inputs did not change are taken from the run's cache. A model
    that fails the gate is not pushed, and the exit code is 3. Several tasks share the
    records and the pre-training; each has a cohort, a model and a report of its own.

    \b
    Examples:
      claimpt run --source tuva --input claims --task asthma_exacerbation --output RUN
      claimpt run --source synpuf --input sample_1 --task readmission_30d --output RUN
      claimpt run --source tuva --input claims --output RUN \\
        --task asthma_exacerbation --task self_harm
    """
    console = Console(stderr=True, highlight=False)
    input_base = str(Path(input_base).resolve())
    config = build_config(input_base, true_risk=find_true_risk(input_base), **options)
    load_categories(config.pretrain.categories, config.pretrain.category_level)
    for folder in span_folders(input_base):
        check_input(config.source, folder)
    load_key(config.key_file or None)
    result = run_pipeline(config, output, verbose, console)
    console.print(f"  curves   tensorboard --logdir {Path(output) / 'artifacts'}")
    refused = []
    for name, made in result.tasks.items():
        console.print(f"  {name}")
        console.print(f"    report {made.report}/report.html")
        if made.pushed is None:
            refused.append(f"{name}: {'; '.join(made.reasons)}")
            continue
        console.print(f"    model  {made.pushed}")
        console.print(f"    serve  claimpt serve {Path(made.pushed).parent}")
    if refused:
        raise GateError(f"not pushed: {' | '.join(refused)}")
