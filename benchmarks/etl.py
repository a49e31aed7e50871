"""How fast claims become records, beside DuckDB and Beam row by row; and the memory.

    python benchmarks/etl.py speed --work /tmp/etl
    python benchmarks/etl.py memory --work /tmp/etl --lines 2 --lines 8 --lines 20

Each measurement runs in a process of its own, so that none warms another's caches; what
a process needs to start (imports, a first ingest of 50 children) is timed apart.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import psutil
from rich.console import Console
from rich.table import Table

REPOSITORY = Path(__file__).resolve().parent.parent
KEY = "a key for benchmarks, not for members"
TABLES = ("medical_claim", "pharmacy_claim", "eligibility")
ROWWISE = "Beam row by row"
SIDES = {  # name: (side, arguments)
    "ours": ("ours", ("multi_threading", "2")),  # ingest's own choice on two cores
    "ours, 1 thread": ("ours", ("in_memory", "1")),
    "ours, 1 process": ("ours", ("multi_processing", "1")),
    "ours, 2 processes": ("ours", ("multi_processing", "2")),
    "DuckDB": ("duckdb", ()),
    ROWWISE: ("rowwise", ()),
}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Measure the ingest."""


@cli.command()
@click.option("--work", required=True, help="Folder for inputs, kept for a next time.")
@click.option("--members", default=20_000, show_default=True, help="Children.")
@click.option(
    "--rowwise-members",
    default=500,
    show_default=True,
    help="Children for the row-at-a-time version, scaled by line.",
)
@click.option("--repeats", default=3, show_default=True, help="Rounds; medians count.")
@click.option("--only", multiple=True, type=click.Choice(list(SIDES)), help="Not all.")
@click.option("--output", default="etl_speed.json", show_default=True, help="JSON.")
def speed(
    work: str,
    members: int,
    rowwise_members: int,
    repeats: int,
    only: tuple[str, ...],
    output: str,
) -> None:  # fmt: skip
    """Time all sides on the same simulated claims, in turns.

    \b
    Example:
      python benchmarks/etl.py speed --work /tmp/etl --members 20000 --repeats 3
    """
    folder = Path(work)
    claims, small = (simulated(folder, n) for n in (members, rowwise_members))
    simulated(folder, 50)
    names = only or tuple(SIDES)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    lines, few = count_lines(claims), count_lines(small)
    console = Console(stderr=True)
    for turn in range(repeats):
        for name in names:
            side, extra = SIDES[name]
            source = small if side == "rowwise" else claims
            runs[name].append(measured(side, source, folder, extra))
            seconds = runs[name][-1]["seconds"]
            console.print(f"round {turn + 1} of {repeats}, {name}: {seconds:.1f} s")
            results = {
                one_name: summary(done, few if one_name == ROWWISE else lines)
                for one_name, done in runs.items()
                if done
            }
            report = {"lines": lines, "members": members, "sides": results}
            Path(output).write_text(
                json.dumps({**machine(), **report, "runs": runs}, indent=1) + "\n"
            )
    show_speed(results, lines)


@cli.command()
@click.option("--work", required=True, help="Folder for inputs; made ones are removed.")
@click.option(
    "--lines",
    "millions",
    multiple=True,
    type=int,
    default=(2, 8, 20),
    show_default=True,
    help="Million claim lines; repeatable.",
)
@click.option("--runner", default="threads", show_default=True, help="As for ingest.")
@click.option("--output", default="etl_memory.json", show_default=True, help="JSON.")
def memory(
    work: str, millions: tuple[int, ...], runner: str, output: str
) -> None:  # fmt: skip
    """Peak memory and lines a second of `claimpt ingest` on ever larger inputs.

    An input of N million lines is the same 20,000 simulated children as often as
    needed, each time with ids and claim numbers of their own.

    \b
    Example:
      python benchmarks/etl.py memory --work /tmp/etl --lines 2 --lines 8
    """
    folder = Path(work)
    once = simulated(folder, 20_000)
    points = []
    for million in millions:
        copies = max(1, round(million * 1e6 / count_lines(once)))
        claims = once if copies == 1 else repeated(once, folder / "many", copies)
        points.append(ingest_watched(claims, folder, runner))
        shutil.rmtree(folder / "many", ignore_errors=True)
    table = Table("lines", "seconds", "CPU seconds", "lines/s", "peak RSS, MiB")
    for point in points:
        table.add_row(*(f"{value:,.0f}" for value in point.values()))
    Console().print(table)
    report = {**machine(), "runner": runner, "points": points}
    Path(output).write_text(json.dumps(report, indent=1) + "\n")


@cli.command(hidden=True)
@click.argument("side", type=click.Choice(["ours", "duckdb", "rowwise"]))
@click.argument("claims")
@click.argument("work")
@click.argument("extra", nargs=-1)
def one(side: str, claims: str, work: str, extra: tuple[str, ...]) -> None:
    """One measurement, as JSON on the last line."""
    began = time.monotonic()
    target = Path(work) / f"out-{os.getpid()}"
    run = {"ours": _ours, "duckdb": _duckdb, "rowwise": _rowwise}[side]
    job = run(extra)
    try:
        job(simulated(Path(work), 50), fresh(target))
        started = time.monotonic()
        before = cpu_seconds()
        job(Path(claims), fresh(target))
        seconds = time.monotonic() - started
        cpu = cpu_seconds() - before
        size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    finally:
        shutil.rmtree(target, ignore_errors=True)
    if "multi_processing" in extra:  # workers start anew: 50 children's time is that
        begun = time.monotonic()
        job(simulated(Path(work), 50), fresh(target))
        seconds -= time.monotonic() - begun
        shutil.rmtree(target, ignore_errors=True)
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu": cpu,
                "startup": started - began,
                "megabytes": size / 1e6,
            }
        )
    )


def _ours(extra: tuple[str, ...]) -> Callable[[Path, Path], None]:
    from claimpt_tf.beam_options import BeamConfig
    from claimpt_tf.visits.ingest import ingest

    args: tuple[str, ...] = ()
    if extra:
        mode, workers = extra
        args = BeamConfig(
            options={"direct_running_mode": mode, "direct_num_workers": int(workers)}
        ).to_args()

    def job(claims: Path, target: Path) -> None:
        ingest("tuva", str(claims), str(target / "records"), beam_args=args)

    return job


def _duckdb(extra: tuple[str, ...]) -> Callable[[Path, Path], None]:
    from benchmarks.etl_rivals import duckdb_visits

    threads = len(os.sched_getaffinity(0))
    return lambda claims, target: duckdb_visits(claims, target, threads)


def _rowwise(extra: tuple[str, ...]) -> Callable[[Path, Path], None]:
    from benchmarks.etl_rivals import rowwise_visits

    return lambda claims, target: rowwise_visits(claims, target, KEY.encode())


def measured(
    side: str, claims: Path, work: Path, extra: tuple[str, ...]
) -> dict[str, float]:
    """One run of a side in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, "one", side, claims, work, *extra],
        capture_output=True,
        text=True,
        env=environment(),
        cwd=REPOSITORY,
    )
    if done.returncode:
        raise click.ClickException(f"{side} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def ingest_watched(claims: Path, work: Path, runner: str) -> dict[str, float]:
    """`claimpt ingest` with its memory looked at every 50 ms, workers included."""
    target = work / "watched"
    shutil.rmtree(target, ignore_errors=True)
    begun = time.monotonic()
    before = cpu_seconds()
    process = psutil.Popen(
        [sys.executable, "-W", "ignore", "-m", "claimpt_tf", "ingest", "--source",
         "tuva", "--input", claims, "--output", target, "--runner", runner],
        env=environment(), cwd=REPOSITORY, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    peak = 0
    stop = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not stop.wait(0.05):
            peak = max(peak, resident(process))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    stop.set()
    watcher.join()
    seconds = time.monotonic() - begun
    if code:
        raise click.ClickException(f"claimpt ingest failed with {code}")
    lines = sum(
        table["read"]
        for table in json.loads((target / "summary.json").read_text())[
            "tables"
        ].values()
    )
    shutil.rmtree(target)
    return {
        "lines": lines,
        "seconds": seconds,
        "cpu": cpu_seconds() - before,
        "lines_per_second": lines / seconds,
        "peak_mib": peak / 2**20,
    }


def resident(process: psutil.Process) -> int:
    """Bytes that a process and its children hold."""
    total = 0
    try:
        for one_process in (process, *process.children(recursive=True)):
            total += one_process.memory_info().rss
    except psutil.Error:
        pass  # one of them has just ended
    return total


def simulated(work: Path, members: int) -> Path:
    """Claims of so many simulated children over three years, made once."""
    folder = work / f"claims-{members}"
    if not folder.exists():
        from claimpt_tf.claims.simulator.config import SimulationConfig
        from claimpt_tf.claims.simulator.simulate import simulate
        from claimpt_tf.claims.simulator.write import write_simulation

        write_simulation(simulate(SimulationConfig(members, 3, 1)), folder)
    return folder


def repeated(claims: Path, folder: Path, copies: int) -> Path:
    """The claims as often as wanted, each time of other children: folders of parts."""
    import polars as pl

    shutil.rmtree(folder, ignore_errors=True)
    for table in TABLES:
        (folder / table).mkdir(parents=True)
        rows = pl.read_parquet(claims / f"{table}.parquet")
        ids = [n for n in ("person_id", "member_id", "claim_id") if n in rows.columns]
        for copy in range(copies):
            rows.with_columns(
                pl.concat_str(pl.col(name), pl.lit(f"x{copy}")) for name in ids
            ).write_parquet(folder / table / f"part-{copy}.parquet")
    return folder


def count_lines(claims: Path) -> int:
    """Rows of all tables."""
    import pyarrow.parquet as pq

    return sum(
        pq.ParquetFile(claims / f"{table}.parquet").metadata.num_rows
        for table in TABLES
    )


def fresh(folder: Path) -> Path:
    """The folder, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def cpu_seconds() -> float:
    """Processor time of this process and of its children that have ended."""
    used = [
        resource.getrusage(who)
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    return sum(one_use.ru_utime + one_use.ru_stime for one_use in used)


def environment() -> dict[str, str]:
    """For the processes measured."""
    return {**os.environ, "CLAIMPT_KEY": KEY, "PYTHONPATH": str(REPOSITORY)}


def machine() -> dict[str, Any]:
    """What figures depend on."""
    return {"cores": len(os.sched_getaffinity(0)), "load_average": os.getloadavg()}


def summary(runs: list[dict[str, float]], lines: int) -> dict[str, float]:
    """Medians, and the time a million lines take."""
    medians = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    return {
        **medians,
        "lines": lines,
        "seconds_per_million": medians["seconds"] / lines * 1e6,
        "cpu_per_million": medians["cpu"] / lines * 1e6,
    }


def show_speed(results: dict[str, dict[str, float]], lines: int) -> None:
    """The table on the screen; ratios are to `ours`."""
    table = Table(title=f"{lines:,} lines", title_justify="left")
    for head in ("", "s", "CPU s", "start-up s", "lines/s", "s / ours", "CPU / ours"):
        table.add_column(head, justify="right" if head else "left")
    ours = results.get("ours") or next(iter(results.values()))
    for name, one_side in results.items():
        table.add_row(
            name,
            f"{one_side['seconds']:.1f}",
            f"{one_side['cpu']:.1f}",
            f"{one_side['startup']:.1f}",
            f"{one_side['lines'] / one_side['seconds']:,.0f}",
            f"{one_side['seconds_per_million'] / ours['seconds_per_million']:.2f}",
            f"{one_side['cpu_per_million'] / ours['cpu_per_million']:.2f}",
        )
    Console().print(table)


if __name__ == "__main__":
    cli()
