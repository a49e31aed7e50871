"""The whole product once, on simulated children: `claimpt demo`."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console

from claimpt_tf.claims.preflight import check_input
from claimpt_tf.claims.privacy import load_key
from claimpt_tf.claims.simulator.config import SimulationConfig
from claimpt_tf.claims.simulator.simulate import simulate
from claimpt_tf.claims.simulator.write import write_simulation
from claimpt_tf.errors import GateError
from claimpt_tf.evaluation.comparison import Comparison
from claimpt_tf.serving.client import Client
from claimpt_tf.serving.errors import ServingError
from pipeline.configs import RunConfig
from pipeline.local_runner import RunResult, find_true_risk, run_pipeline
from pipeline.options import build_config

TASK = "asthma_exacerbation"
# Moderate asthma; the controller was filled until May, then no more, and the rescue
# inhaler twice. The drugs' numbers are the simulator's.
_OFFICE, _EMERGENCY = "HCPCS:99213", "HCPCS:99284"
_CONTROLLER, _RESCUE = "NDC:90000001130", "NDC:90000002030"
CHILD = {
    "sex": "M",
    "birth_date": "2014-03-09",
    "index_date": "2023-10-01",
    "visits": [
        {"date": date, "type": kind, "codes": codes}
        for date, kind, codes in (
            ("2022-04-11", "OP", ["ICD10CM:Z00.129", "HCPCS:99393"]),
            ("2022-09-02", "OP", ["ICD10CM:J45.40", "ICD10CM:J30.2", _OFFICE]),
            ("2022-09-03", "RX", [_CONTROLLER]),
            ("2022-10-05", "RX", [_CONTROLLER]),
            ("2022-11-14", "OP", ["ICD10CM:J45.41", _OFFICE]),
            ("2022-11-14", "RX", [_RESCUE]),
            ("2022-12-01", "RX", [_CONTROLLER]),
            ("2023-02-02", "ED", ["ICD10CM:J45.41", _EMERGENCY, "HCPCS:94640"]),
            ("2023-02-03", "RX", [_RESCUE]),
            ("2023-02-09", "OP", ["ICD10CM:J45.40", "HCPCS:99214"]),
            ("2023-02-10", "RX", [_CONTROLLER]),
            ("2023-03-12", "RX", [_CONTROLLER]),
            ("2023-04-17", "OP", ["ICD10CM:Z00.129", "HCPCS:99393"]),
            ("2023-05-02", "RX", [_CONTROLLER]),
            ("2023-07-21", "OP", ["ICD10CM:J06.9", _OFFICE]),
            ("2023-09-20", "ED", ["ICD10CM:J45.901", _EMERGENCY, "HCPCS:94640"]),
            ("2023-09-20", "RX", [_RESCUE]),
        )
    ],
}

REHEARSALS = 2


@click.command()
@click.argument("out", default="runs/demo", type=click.Path(file_okay=False))
@click.option("--members", default=5000, show_default=True, help="Simulated children.")
@click.option("--epochs", default=4, show_default=True, help="Pre-training epochs.")
@click.option("--seed", default=7, show_default=True, help="Of everything random.")
def demo_command(out: str, members: int, epochs: int, seed: int) -> None:
    """Simulate children, run the pipeline, serve the model and ask it for a risk.

    \b
    Example:
      claimpt demo runs/demo
    """
    console = Console(highlight=False)
    folder = Path(out)
    claims = folder / "claims"
    if not (claims / "eligibility.parquet").exists():
        console.print(f"[bold]Simulating[/] {members:,} children, 3 years of claims")
        write_simulation(simulate(SimulationConfig(members, 3, seed)), str(claims))
    config = build_config(
        input_base=str(claims.resolve()),
        source="tuva",
        task=TASK,
        preset="small",
        epochs=epochs,
        seed=seed,
        min_auroc=0.55,
        scratch=True,
        key_file="",
        beam_args=(),
        config_file=None,
        true_risk=find_true_risk(str(claims.resolve())),
    )
    # Six thousand children are a small past to rehearse on, and time is short here.
    short = config.finetune.model_copy(update={"rehearsals": REHEARSALS})
    config = config.model_copy(update={"finetune": short})
    check_input(config.source, config.input_base)
    load_key(None)
    run_demo(config, folder, console)


def run_demo(config: RunConfig, folder: Path, console: Console) -> RunResult:
    """Runs the pipeline, serves what it pushed, and asks for one child's risk.

    Args:
      config: Choices of the run.
      folder: Where the run goes.
      console: Where progress and results are shown.

    Raises:
      GateError: The model was not pushed.
      ServingError: The server did not start.
    """
    console.print(f"[bold]Running[/] the pipeline for task {config.tasks[0].name}")
    result = run_pipeline(config, str(folder), console=console)
    comparison = Comparison.from_json(
        (Path(result.only.report) / "metrics.json").read_text()
    )
    console.print(
        comparison.to_table("Simulated children, test split: no clinical claim")
    )
    made = result.only
    if made.pushed is None:
        raise GateError("the model was not pushed: " + "; ".join(made.reasons))
    model_base = Path(made.pushed).parent
    console.print(f"[bold]Serving[/] {model_base}")
    with _server(model_base) as url:
        (risk,) = Client(url).predict([CHILD])
    child = folder / "child.json"
    child.write_text(json.dumps(CHILD, indent=1))
    console.print(
        f"Fetched over HTTP from {url}/v1/models/claimpt:predict:\n"
        f"  a boy of 9 with two acute asthma visits this year, given as raw codes: "
        f"risk [bold]{risk:.1%}[/] in the next 180 days"
    )
    console.print(f"Report       {made.report}/report.html")
    console.print(f"TensorBoard  .venv/bin/tensorboard --logdir {folder}/artifacts")
    console.print(f"Serve again  .venv/bin/claimpt serve {model_base}")
    console.print(f"Ask again    .venv/bin/claimpt predict {child}")
    return result


@contextlib.contextmanager
def _server(model_base: Path) -> Iterator[str]:
    """A server of its own process on a free port; gives its address."""
    command = [sys.executable, "-m", "claimpt_tf", "serve", str(model_base)]
    with (
        open(model_base.parent / "serve.log", "w") as log,
        subprocess.Popen(
            [*command, "--rest-port", "0", "--grpc-port", "0"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                found = re.search(r"(http://\S+)/v1/models/", line)
                if found:
                    yield found[1]
                    return
            raise ServingError(f"the server did not start; see {log.name}")
        finally:
            process.terminate()
