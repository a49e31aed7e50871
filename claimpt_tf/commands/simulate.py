"""Make a simulated population."""

from __future__ import annotations

import click


@click.command()
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
