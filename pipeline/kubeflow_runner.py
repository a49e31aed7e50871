"""The same pipeline as a Kubeflow v2 spec: `claimpt compile`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import click
import yaml

from pipeline.configs import RunConfig
from pipeline.options import build_config, shared_options

ENTRYPOINT = ["python", "-m", "pipeline.kubeflow_entrypoint"]
SCHEMA_IN_IMAGE = "/opt/claimpt_tf/claimpt_tf/visits/schema.pbtxt"


def compile_pipeline(
    config: RunConfig, output: str, image: str, pipeline_root: str, serving_dir: str
) -> str:
    """Writes the pipeline as a Kubeflow Pipelines v2 spec.

    Args:
      config: Choices of the run; paths are those that the cluster's containers see.
      output: YAML file to write.
      image: Container image with this package and its stack (`pipeline/Dockerfile`).
      pipeline_root: Where artifacts go, e.g. "gs://bucket/claimpt".
      serving_dir: Where blessed models are pushed.

    Returns:
      The file's path.
    """
    from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import (
        KubeflowV2DagRunner,
        KubeflowV2DagRunnerConfig,
    )

    from pipeline.pipeline import create_pipeline

    path = Path(output).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.stem}.part.yaml")
    runner = KubeflowV2DagRunner(
        config=KubeflowV2DagRunnerConfig(
            default_image=image,
            default_commands=ENTRYPOINT,
            use_pipeline_spec_2_1=True,  # open-source Kubeflow rejects 2.0.0
        ),
        output_dir=str(part.parent),
        output_filename=part.name,
    )
    pipeline = create_pipeline(
        config,
        pipeline_root,
        serving_dir,
        schema_file=SCHEMA_IN_IMAGE,
        # Argo, below Kubeflow, takes letters, digits and hyphens only.
        node_id=lambda name: re.sub("[^A-Za-z0-9]", "-", name),
    )
    runner.run(pipeline, write_out=True)
    spec = yaml.safe_load(part.read_text())
    for name, task in spec["root"]["dag"]["tasks"].items():
        if name.startswith("LastServed"):  # what is served changes meanwhile
            task["cachingOptions"] = {"enableCache": False}
    part.write_text(yaml.safe_dump(spec))
    os.replace(part, path)
    return str(path)


@click.command()
@click.option(
    "--input",
    "input_base",
    required=True,
    help="Claims tables, as containers see them.",
)
@click.option("--output", required=True, help="YAML file to write.")
@click.option(
    "--target", type=click.Choice(["kfp"]), default="kfp", show_default=True,
    help="Orchestrator.",
)  # fmt: skip
@click.option("--image", required=True, help="Container image with this package.")
@click.option("--pipeline-root", required=True, help="Where artifacts go.")
@click.option("--serving-dir", required=True, help="Where blessed models are pushed.")
@shared_options
def compile_command(
    input_base: str, output: str, target: str, image: str, pipeline_root: str,
    serving_dir: str, **options: Any,
) -> None:  # fmt: skip
    """Write the pipeline as a Kubeflow Pipelines v2 spec (2.1.0).

    \b
    Example:
      claimpt compile --target kfp --source tuva --input gs://claims/tuva \\
        --task asthma_exacerbation --image IMAGE --pipeline-root gs://runs/claimpt \\
        --serving-dir gs://models --output claimpt.yaml

    Of several tasks (--task A --task B) each has a branch of its own after the shared
    pre-training.
    """
    config = build_config(input_base, **options)
    click.echo(compile_pipeline(config, output, image, pipeline_root, serving_dir))
