"""How well could anything that sees claims alone do, on simulated members?

The true risk is a bound that no model reaches: it knows hidden states. Here LightGBM is
taught that risk itself, a number without chance in it, on as many index dates as there
are: what it then reaches on other members is about what claims tell. Beside it stands
the same taught by labels. Features are counts as in `claimpt evaluate`, and the patient
states of a pre-trained network. Last, that network itself, all layers, taught the risk.

    claimpt simulate more --members 100000 --seed 321
    claimpt ingest --source tuva --input more --output more_records
    python benchmarks/ceiling.py --task asthma_exacerbation --base run \\
        --data more_records --truth more/true_risk.parquet \\
        --test other_records --test-truth others/true_risk.parquet --output ceiling
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import click
import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

GROWTH = {
    "learning_rate": 0.05,
    "num_leaves": 31,
    "feature_fraction": 0.3,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "max_bin": 31,
    "lambda_l2": 10.0,
    "force_row_wise": True,
    "verbosity": -1,
    "num_threads": 1,
}
MOST_ROUNDS, PATIENCE, HELD_OUT = 800, 30, 10
EPOCHS, BATCH, RATE = 4, 96, 7e-4  # of the network
LABELS, RISK = "labels", "true risks"


@click.command(help=__doc__)
@click.option("--task", "task_name", default="asthma_exacerbation", show_default=True)
@click.option("--base", required=True, help="Run of `claimpt pretrain`.")
@click.option("--data", required=True, help="Records to learn from, all splits.")
@click.option("--truth", required=True, help="Table of their true risks.")
@click.option("--test", required=True, help="Records of others, all splits.")
@click.option("--test-truth", required=True, help="Table of their true risks.")
@click.option("--key-file", help="Key that both were hashed with.")
@click.option("--output", required=True, help="Folder for cohorts and figures.")
@click.option("--trees/--no-trees", default=True, help="LightGBM, six times.")
def main(
    task_name: str, base: str, data: str, truth: str, test: str, test_truth: str,
    key_file: str | None, output: str, trees: bool,
) -> None:  # fmt: skip
    """Trains, and shows the table."""
    from scipy.special import logit

    from claimpt_tf.evaluation.compare import compare
    from claimpt_tf.evaluation.evaluate import true_risk
    from claimpt_tf.evaluation.finetuned_run import labelled_rows
    from claimpt_tf.models.risk_model import risk_model
    from claimpt_tf.tasks.spec import load_task
    from claimpt_tf.tasks.transform import build_cohort
    from claimpt_tf.training.choices import FinetuneConfig
    from claimpt_tf.training.pretrain import load_backbone
    from claimpt_tf.training.pretrain_run import TRANSFORM_FOLDER
    from claimpt_tf.training.scores import Scorer
    from claimpt_tf.training.sources import labelled_sources
    from claimpt_tf.training.transform_graph import TransformGraph
    from claimpt_tf.visits.splits import SPLITS

    task, splits = load_task(task_name), sorted(SPLITS)
    graph = TransformGraph.load(str(Path(base) / TRANSFORM_FOLDER))
    network = risk_model(load_backbone(base, graph.codes))
    scorer = Scorer(network, FinetuneConfig().limits)

    def read(name: str, records: str, table: str) -> tuple[pl.DataFrame, Any, Any]:
        """Rows, their true risks and what the network reads."""
        cohort = Path(output) / task.name / name
        if not cohort.exists():
            build_cohort(task, records, str(cohort))
        rows = pl.concat([labelled_rows(cohort, split) for split in splits])
        risk = true_risk(rows, task, table, key_file)
        if risk is None:
            raise click.UsageError(f"{table} has no risks of these members and dates")
        files = {name: [f"{cohort}/Split-{split}/*" for split in splits]}
        return rows, risk, labelled_sources(files, graph.layer)[name]

    own, risk, source = read("own", data, truth)
    others, bound, asked_source = read("others", test, test_truth)
    scores: dict[str, Any] = {"the true risk itself": bound}
    log_odds = logit(np.clip(risk, 1e-4, 1 - 1e-4))  # some are one, to float32
    if trees:
        states, asked_states = scorer(source).state, scorer(asked_source).state
        scores |= by_trees(own, others, log_odds, states, asked_states)
    teach(network, source, log_odds)
    scores["the network, taught by true risks"] = scorer(asked_source).logit
    # Only AUROC is read: ranks, so that any score will do for a probability.
    ranks = {n: np.argsort(np.argsort(s)) / len(s) for n, s in scores.items()}
    found = compare(ranks, others)
    table = Table(
        title=f"{task_name}: {own.height:,} index dates to learn from, "
        f"{others.height:,} of others to score, simulated"
    )
    for header in ("what", "AUROC"):
        table.add_column(header)
    for name in ranks:
        one = found.models[name]["auroc"]
        table.add_row(name, f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]")
    Console(width=100, highlight=False).print(table)


def teach(network: Any, source: Any, target: Any) -> None:
    """Trains all layers to foresee a number of each row, by squared error."""
    import keras
    import tensorflow as tf

    from claimpt_tf.training.choices import FinetuneConfig
    from claimpt_tf.training.inputs import as_of
    from claimpt_tf.training.schedules import warmup_cosine

    limits = FinetuneConfig().limits
    wanted = ((target - target.mean()) / target.std()).astype(np.float32)
    rows = tf.data.Dataset.zip(
        source.unbatch(), tf.data.Dataset.from_tensor_slices(wanted)
    )
    rows = rows.shuffle(20_000, seed=1).batch(BATCH, drop_remainder=True)
    optimizer = keras.optimizers.AdamW(
        warmup_cosine(RATE, len(wanted) // BATCH * EPOCHS),
        weight_decay=0.01,
        global_clipnorm=1.0,
    )
    weights = network.trainable_variables
    optimizer.build(weights)

    @tf.function(reduce_retracing=True, autograph=False)
    def step(features: Any, wanted: Any) -> Any:
        inputs = as_of(features, features["index_day"], limits)
        inputs.pop("visit_outcome", None)
        with tf.GradientTape() as tape:
            error = network(inputs, training=True)["logit"][:, 0] - wanted
            loss = tf.reduce_mean(error**2)
        optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    for epoch in range(1, EPOCHS + 1):
        losses = [float(step(features, some)) for features, some in rows]
        click.echo(f"network {epoch}/{EPOCHS}: {np.mean(losses):.3f}", err=True)


def by_trees(
    own: pl.DataFrame, others: pl.DataFrame, log_odds: Any, states: Any,
    asked_states: Any,
) -> dict[str, Any]:  # fmt: skip
    """Scores of others by LightGBM, by what it saw and what taught it."""
    from scipy import sparse

    from claimpt_tf.evaluation.counts import CountFeatures

    states, asked_states = map(sparse.csr_matrix, (states, asked_states))
    features = CountFeatures().fit(own)
    counts, asked_counts = features.transform(own), features.transform(others)
    seen = {
        "counts": (counts, asked_counts),
        "patient state": (states, asked_states),
        "both": (
            sparse.hstack([counts, states]).tocsr(),
            sparse.hstack([asked_counts, asked_states]).tocsr(),
        ),
    }
    taught = {
        LABELS: ("binary", own["label"].to_numpy().astype(float)),
        RISK: ("regression", log_odds),
    }
    scores = {}
    held_out = own["patient_id"].hash(seed=1).to_numpy() % HELD_OUT == 0
    for what, (known, asked) in seen.items():
        for by, (objective, target) in taught.items():
            name = f"LightGBM on {what}, taught by {by}"
            scores[name] = grown(known, target, objective, held_out, asked)
            click.echo(f"{name}: done", err=True)
    return scores


def grown(known: Any, target: Any, objective: str, held_out: Any, asked: Any) -> Any:
    """Scores of `asked` by trees that stopped on the held-out members."""
    import lightgbm as lgb

    fit = lgb.Dataset(known[~held_out], target[~held_out])
    watch = lgb.Dataset(known[held_out], target[held_out], reference=fit)
    trees = lgb.train(
        {**GROWTH, "objective": objective}, fit, MOST_ROUNDS, [watch],
        callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
    )  # fmt: skip
    return trees.predict(asked)


if __name__ == "__main__":
    main()
