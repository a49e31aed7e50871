"""Presets and options as Beam itself parses them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from claimpt_tf.beam_options import (
    LOCAL_RUNNER,
    PRESETS,
    BeamConfig,
    beam_config,
    is_local,
    load_beam,
    local_workers,
    with_runner,
)
from claimpt_tf.errors import InputError

KNOWN_TO_THE_USER: dict[str, dict[str, Any]] = {
    "local": {},
    "threads": {},
    "processes": {},
    "dataflow": {
        "project": "payer",
        "region": "europe-west1",
        "temp_location": "gs://payer/temp",
        "sdk_container_image": "registry.example/claimpt_tf:1",
    },
    "flink": {
        "flink_master": "flink.example:8081",
        "environment_config": "registry.example/claimpt_tf:1",
    },
    "spark": {
        "spark_master_url": "spark://spark.example:7077",
        "environment_config": "registry.example/claimpt_tf:1",
    },
}
MEANT: dict[str, dict[str, Any]] = {
    "local": {"runner": LOCAL_RUNNER, "direct_running_mode": "in_memory"},
    "threads": {
        "runner": LOCAL_RUNNER,
        "direct_running_mode": "multi_threading",
        "direct_num_workers": local_workers(),
    },
    "processes": {
        "runner": LOCAL_RUNNER,
        "direct_running_mode": "multi_processing",
        "direct_num_workers": local_workers(),
    },
    "dataflow": {
        "runner": "DataflowRunner",
        "experiments": ["use_runner_v2"],
        "machine_type": "n2-highmem-4",
        "number_of_worker_harness_threads": 1,
        "max_num_workers": 20,
    },
    "flink": {
        "runner": "FlinkRunner",
        "environment_type": "DOCKER",
        "sdk_worker_parallelism": "1",
    },
    "spark": {
        "runner": "SparkRunner",
        "environment_type": "DOCKER",
        "sdk_worker_parallelism": "1",
    },
}


def parsed(args: tuple[str, ...]) -> dict[str, Any]:
    return PipelineOptions(list(args)).get_all_options()


@pytest.mark.parametrize("name", PRESETS)
def test_beam_parses_a_preset_as_it_is_meant(name: str) -> None:
    args = BeamConfig(runner=name, options=KNOWN_TO_THE_USER[name]).to_args()
    options = parsed(args)
    for option, value in {**MEANT[name], **KNOWN_TO_THE_USER[name]}.items():
        assert options[option] == value, option
    # Beam takes no notice of an option that it does not know.
    known = set(PipelineOptions([]).get_all_options()) | {"machine_type"}
    assert {arg[2:].partition("=")[0] for arg in args} <= known


@pytest.mark.parametrize("name", ["dataflow", "flink", "spark"])
def test_what_only_the_user_knows_is_asked_for(name: str) -> None:
    for option in PRESETS[name].required:
        known = {k: v for k, v in KNOWN_TO_THE_USER[name].items() if k != option}
        with pytest.raises(InputError, match=f"runner {name} needs .* {option}"):
            beam_config(name, [f"--{k}={v}" for k, v in known.items()])


def test_the_command_line_has_the_last_word(tmp_path: Path) -> None:
    file = tmp_path / "beam.yaml"
    file.write_text(
        "runner: processes\n"
        "options: {direct_num_workers: 3, experiments: [one, two], streaming: true,"
        " sdk_container_image: false}\n"
    )
    options = parsed(load_beam(file, args=["--direct_num_workers=2"]).to_args())
    assert options["direct_num_workers"] == 2
    assert options["direct_running_mode"] == "multi_processing"
    assert options["experiments"] == ["one", "two"]
    assert options["streaming"] is True
    assert options["sdk_container_image"] is None
    assert load_beam(file, runner="FlinkRunner").to_args()[0] == "--runner=FlinkRunner"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("runner: local\noption: {}\n", r"line 2.*did you mean 'options'"),
        ("options: {--region: x}\n", r"'--region': give an option's bare name"),
        ("args: [direct_num_workers=2]\n", "two dashes"),
        ("runner: [\n", "not YAML"),
    ],
)
def test_a_wrong_file_is_explained(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "beam.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=says):
        load_beam(file)


def test_without_a_runner_it_is_this_machine() -> None:
    assert parsed(tuple(with_runner([])))["runner"] == LOCAL_RUNNER
    assert parsed(tuple(with_runner(["--direct_num_workers=2"])))["runner"] == (
        LOCAL_RUNNER
    )
    given = ["--runner", "FlinkRunner", "--flink_master=jobs:8081"]
    assert with_runner(given) == given
    assert not is_local(given)
    assert is_local(["--direct_num_workers=2"])
