"""`claimpt`: thin commands over functions that a notebook can call."""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

import click

from claimpt_tf import __version__
from claimpt_tf.claims.readers.registry import reader_names
from claimpt_tf.errors import ClaimPTError, TaskError

COMMANDS = "claimpt.commands"  # entry points by which other packages add commands


class Commands(click.Group):
    """Finds commands by entry point and imports only the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return sorted({*super().list_commands(ctx), *_plugins()})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command itself."""
        plugin = _plugins().get(name)
        return plugin.load() if plugin else super().get_command(ctx, name)


_BEAM_OPTIONS = (
    click.option(
        "--runner",
        help="Where Beam runs: local, processes, dataflow, flink, spark, or a runner.",
    ),
    click.option(
        "--beam-config", "beam_file",
        help="YAML file with runner and options (docs/scale.md).",
    ),
    click.option(
        "--beam-arg", "beam_args", multiple=True, metavar="ARG",
        help="Beam option, e.g. --beam-arg=--direct_num_workers=2; repeatable.",
    ),
)  # fmt: skip


def _on_beam(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command Beam's options, of which it gets `beam_args`."""

    @functools.wraps(command)
    def run(
        runner: str | None,
        beam_file: str | None,
        beam_args: tuple[str, ...],
        **rest: Any,
    ) -> None:
        from claimpt_tf.beam_options import beam_config, load_beam

        config = (
            load_beam(beam_file, runner, beam_args)
            if beam_file
            else beam_config(runner, beam_args)
        )
        # Where no runner is named, each command has one of its own.
        chosen = config.to_args() if runner or beam_file else config.args
        command(beam_args=chosen, **rest)

    for option in reversed(_BEAM_OPTIONS):
        run = option(run)
    return run


def _plugins() -> dict[str, Any]:
    return {entry.name: entry for entry in entry_points(group=COMMANDS)}


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Predict from medical claims: pre-train on everybody, fine-tune for a few.

    \b
    Start here:
      claimpt demo OUT                     the whole product on simulated children
      claimpt simulate CLAIMS              make claims tables to play with
      claimpt run --source tuva --input CLAIMS --task asthma_exacerbation --output RUN
    """


@cli.command()
@click.argument("out", type=click.Path(file_okay=False))
@click.option("--members", default=5000, show_default=True, help="Children.")
@click.option("--years", default=3, show_default=True, help="Years of claims.")
@click.option("--seed", default=7, show_default=True, help="Same seed, same claims.")
@click.option(
    "--format", "file_format", default="parquet", show_default=True,
    type=click.Choice(["parquet", "csv"]), help="File format.",
)  # fmt: skip
def simulate(out: str, members: int, years: int, seed: int, file_format: str) -> None:
    """Write a simulated pediatric Medicaid population to OUT.

    Tuva input layer tables (medical_claim, pharmacy_claim, eligibility) and, beside
    them, each child's true risks.

    \b
    Example:
      claimpt simulate claims --members 20000 --seed 1
    """
    from rich.progress import Progress

    from claimpt_tf.claims.simulator.config import SimulationConfig
    from claimpt_tf.claims.simulator.simulate import simulate as run
    from claimpt_tf.claims.simulator.write import write_simulation

    with Progress(transient=True) as bar:
        task = bar.add_task("simulating", total=1.0)
        simulation = run(
            SimulationConfig(members=members, years=years, seed=seed),
            progress=lambda text, done: bar.update(
                task, description=text, completed=done
            ),
        )
        write_simulation(simulation, out, file_format)
    click.echo(
        f"{out}: {members:,} simulated children, "
        f"{len(simulation.medical_claim):,} medical and "
        f"{len(simulation.pharmacy_claim):,} pharmacy claim lines"
    )


@cli.command()
@click.option(
    "--source",
    required=True,
    metavar="NAME",
    help=f"Input standard: {', '.join(reader_names())}.",
)
@click.option("--input", "input_path", required=True, help="Folder of the tables.")
@click.option("--output", required=True, help="Folder to make.")
@click.option("--key-file", help="Key that hashes member ids (default: your own).")
@click.option(
    "--rules",
    "rules_file",
    help="YAML file of visit rules that differ (docs/visits.md).",
)
@click.option(
    "--shift-dates",
    is_flag=True,
    help="Move each member's dates by up to a year, intervals kept.",
)
@click.option("--shards", type=int, help="Files a split (default: by size).")
@click.option(
    "--max-quarantined",
    default=0.2,
    show_default=True,
    help="Share of a table's lines that may be unusable.",
)
@_on_beam
def ingest(
    source: str,
    input_path: str,
    output: str,
    key_file: str | None,
    rules_file: str | None,
    shift_dates: bool,
    shards: int | None,
    max_quarantined: float,
    beam_args: tuple[str, ...],
) -> None:
    """Turn claims tables into records of visit sequences.

    \b
    Examples:
      claimpt ingest --source synpuf --input sample_1 --output records
      claimpt ingest --source tuva --input claims --output records \\
        --rules rules.yaml --shift-dates
      claimpt ingest --source tuva --input 'claims/month-{SPAN}' --output records
      claimpt ingest --source tuva --input claims --output records \\
        --runner processes --beam-arg=--direct_num_workers=2
    """
    from rich.console import Console
    from rich.progress import Progress

    from claimpt_tf.claims.preflight import check_input
    from claimpt_tf.claims.spans import span_folders
    from claimpt_tf.visits.ingest import ingest as run
    from claimpt_tf.visits.rules import load_rules

    rules = load_rules(rules_file) if rules_file else None
    for folder in span_folders(input_path):
        check_input(source, folder)
    console = Console(stderr=True, highlight=False)
    with Progress(console=console, transient=True) as bar:
        tasks = {what: bar.add_task(what, total=None) for what in ("lines", "buckets")}
        summary = run(
            source,
            input_path,
            output,
            rules=rules,
            key_file=key_file,
            shards=shards,
            beam_args=beam_args,
            max_quarantined=max_quarantined,
            shift_dates=shift_dates,
            progress=lambda what, done, total: bar.update(
                tasks[what], completed=done, total=total
            ),
        )
    console.print(summary.to_table())


@cli.command()
@click.argument("tasks", metavar="[TASK]...", nargs=-1)
@click.option("--data", required=True, help="Folder that `claimpt ingest` made.")
@click.option("--output", required=True, help="Folder for the labelled examples.")
@click.option("--labels", help="Table of labels: member, index date, label, split.")
@click.option("--key-file", help="Key that hashes member ids, as at ingest.")
@click.option("--aces", help="Task file of ACES to take instead of a TASK.")
@click.option("--predicates", help="ACES predicates, where they stand apart.")
@_on_beam
def cohort(
    tasks: tuple[str, ...],
    data: str,
    output: str,
    labels: str | None,
    key_file: str | None,
    aces: str | None,
    predicates: str | None,
    beam_args: tuple[str, ...],
) -> None:
    """Label records by TASK (a shipped task or a YAML file) and show who is left.

    Of several TASKs each gets a folder of its name in the output. With --labels the
    labels come from a table; TASK, if there is one, is then what adaptation trains on.

    \b
    Examples:
      claimpt cohort asthma_exacerbation --data records --output cohort
      claimpt cohort asthma_exacerbation self_harm --data records --output cohorts
      claimpt cohort --labels charts.csv --data records --output cohort
      claimpt cohort --aces readmission.yaml --data records --output cohort
    """
    from pathlib import Path

    from rich.console import Console

    from claimpt_tf.tasks.attrition import check_enough
    from claimpt_tf.tasks.choice import chosen_tasks
    from claimpt_tf.tasks.transform import build_cohort

    console = Console(highlight=False)
    chosen, notes = chosen_tasks(tasks, labels, aces, predicates)
    for note in notes:
        console.print(f"[yellow]note[/] {note}")
    refused = []
    for task in chosen:
        folder = Path(output) / task.name if len(chosen) > 1 else Path(output)
        summary = build_cohort(task, data, folder, beam_args, key_file)
        console.print(summary.attrition.table())
        try:
            warnings = check_enough(summary.attrition)
        except TaskError as error:
            refused.append(str(error))
            continue
        for warning in (*summary.warnings, *warnings):
            console.print(f"[yellow]warning[/] {warning}")
    if refused:
        raise TaskError("\n".join(refused))


@cli.command()
@click.option("--data", required=True, help="Folder that `claimpt ingest` made.")
@click.option("--output", required=True, help="Folder of the run, to make.")
@click.option("--preset", default="small", show_default=True, help="Size of network.")
@click.option(
    "--objective", "objectives", multiple=True, metavar="NAME=WEIGHT",
    help="What to learn, and its weight; repeatable (default: the preset's mix).",
)  # fmt: skip
@click.option("--epochs", type=int, help="Passes over the members, at most.")
@click.option("--batch-size", type=int, help="Members a batch.")
@click.option("--learning-rate", type=float, help="Peak rate.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "mixed_bfloat16"]),
    help="auto: bfloat16 where there is hardware for it.",
)
@click.option(
    "--distribution",
    type=click.Choice(["auto", "none", "mirrored", "multiworker"]),
    help="auto: all GPUs, or the workers of TF_CONFIG.",
)
@click.option(
    "--checkpoint-minutes", type=float, help="Least time between two checkpoints."
)
@click.option(
    "--categories", multiple=True, metavar="FILE",
    help="Your own categories of codes (docs/codes.md); repeatable.",
)  # fmt: skip
@click.option("--seed", type=int, help="Of weights, order and dates.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted run.")
def pretrain(data: str, output: str, resume: bool, **chosen: Any) -> None:
    """Pre-train a network on the visit sequences of everybody in DATA.

    An interrupted run goes on exactly where it stood with --resume and the same
    choices. docs/training.md says what the objectives and choices mean.

    \b
    Examples:
      claimpt pretrain --data records --preset small --output run
      claimpt pretrain --data records --output run --resume
      claimpt pretrain --data records --output run \\
        --objective windows=1 --objective next_visit=0.5 --epochs 12
      tensorboard --logdir run/logs
    """
    from rich.console import Console

    from claimpt_tf.training.choices import pretrain_config
    from claimpt_tf.training.pretrain_run import pretrain_run

    config = pretrain_config(**chosen)
    metrics, recall = pretrain_run(data, output, config, resume, say=click.echo)
    Console(highlight=False).print(recall.to_table())
    click.echo(f"{output}: {metrics['seconds']:,.0f} s")


@cli.command("export-meds")
@click.option("--data", required=True, help="Folder that `claimpt ingest` made.")
@click.option("--output", required=True, help="Folder of the dataset, to make.")
@click.option("--labels", help="Folder that `claimpt cohort` made.")
@click.option("--name", default="claims", show_default=True, help="Dataset's name.")
def export_meds(data: str, output: str, labels: str | None, name: str) -> None:
    """Write records as a MEDS dataset, and a cohort's labels in MEDS's label schema.

    Subject ids are made of the hashes in the records, never of member ids.

    \b
    Examples:
      claimpt export-meds --data records --output meds
      claimpt export-meds --data records --labels cohort --output meds
    """
    from rich.console import Console
    from rich.progress import Progress

    from claimpt_tf.visits.export_meds import export_meds as run

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("members", total=None)
        made = run(data, output, labels, name, lambda done: bar.advance(task, done))
    click.echo(
        f"{output}: {made.subjects:,} subjects, {made.rows:,} events, "
        f"{made.codes:,} codes, {made.labels:,} labels"
    )


@cli.command()
@click.option("--data", required=True, help="Folder that `claimpt ingest` made.")
@click.option("--base", required=True, help="Run of `claimpt pretrain`.")
@click.option("--task", required=True, help="A shipped task, or a YAML file.")
@click.option("--labels", help="Table of labels: member, index date, label, split.")
@click.option("--output", required=True, help="Folder of the run, to be made.")
@click.option("--shots", type=click.IntRange(1), help="Labelled training members.")
@click.option(
    "--recipe", default="auto", show_default=True,
    type=click.Choice(["auto", "adapt", "labels"]), help="How to train.",
)  # fmt: skip
@click.option("--epochs", type=click.IntRange(1), help="Passes, at most.")
@click.option("--seed", default=7, show_default=True, help="Of everything random.")
@click.option("--key-file", help="Key that hashes member ids, as at ingest.")
def finetune(
    data: str,
    base: str,
    task: str,
    labels: str | None,
    output: str,
    shots: int | None,
    recipe: str,
    epochs: int | None,
    seed: int,
    key_file: str | None,
) -> None:
    """Fine-tune a pre-trained network for a small population, and score it.

    `predictions.parquet` then holds every labelled row of every split. With --labels
    the labels come from a table; the task's own outcome is what adaptation trains on.

    \b
    Examples:
      claimpt finetune --data records --base run --task asthma_exacerbation --output r2
      claimpt finetune --data records --base run --task self_harm --labels charts.csv \\
        --shots 100 --output r3
    """
    from claimpt_tf.tasks.choice import chosen_tasks
    from claimpt_tf.training.choices import FinetuneConfig
    from claimpt_tf.training.finetune_run import finetune_run

    (chosen,), notes = chosen_tasks((task,), labels, None, None)
    for note in notes:
        click.echo(f"note: {note}")
    given = {} if epochs is None else {"epochs": epochs}
    config = FinetuneConfig.model_validate({"recipe": recipe, "seed": seed, **given})
    facts = finetune_run(
        data, base, chosen, output, config, shots=shots, key_file=key_file,
        say=click.echo,
    )  # fmt: skip
    click.echo(f"{output}: {facts['seconds']:,.0f} s")


@cli.command()
@click.argument("model_base")
@click.option("--name", default="claimpt", show_default=True, help="Model name.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address.")
@click.option("--rest-port", default=8501, show_default=True, help="0 picks one.")
def serve(model_base: str, name: str, host: str, rest_port: int) -> None:
    """Serve the newest version under MODEL_BASE over TF Serving's REST API.

    This is not TensorFlow Serving, but a local server that speaks its protocol.

    \b
    Example:
      claimpt serve RUN/serving/claimpt
    """
    from claimpt_tf.serving.server import serve as run

    run(model_base, name=name, host=host, rest_port=rest_port, say=click.echo)


@cli.command()
@click.argument("member_json", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--url", default="http://127.0.0.1:8501", show_default=True, help="The server."
)
@click.option("--name", default="claimpt", show_default=True, help="Model name.")
def predict(member_json: str, url: str, name: str) -> None:
    """Ask a served model for the risk of the members in MEMBER_JSON.

    \b
    The file holds one member, or a list:
      {"sex": "F", "birth_date": "2012-04-03", "index_date": "2023-06-30",
       "visits": [{"date": "2023-01-05", "type": "ED",
                   "codes": ["ICD10CM:J45.901", "HCPCS:99284"]}]}
    """
    from claimpt_tf.serving.client import Client
    from claimpt_tf.serving.requests import read_members

    for risk in Client(url, name).predict(read_members(member_json)):
        click.echo(f"{risk:.4f}")


def main() -> None:
    """Entry point: errors that a person can act on come without a traceback."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").addHandler(logging.NullHandler())
    try:
        cli(standalone_mode=True)
    except ClaimPTError as error:
        click.echo(f"claimpt: {error}", err=True)
        sys.exit(error.exit_code)
