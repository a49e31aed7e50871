"""Where Beam runs: presets and options, as the arguments that Beam itself parses.

Imports no Beam, so that commands start fast. docs/scale.md says which presets were run
and which were only parsed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from claimpt_tf.errors import InputError
from claimpt_tf.yaml_lines import Block, describe_faults, load_yaml, read_yaml

# Beam's own default, DirectRunner, looks for a download first; this is in the wheel.
LOCAL_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
_LOCAL_RUNNERS = (LOCAL_RUNNER, "FnApiRunner", "DirectRunner")
_MOST_LOCAL_WORKERS = 4  # each holds a bucket of claims in memory

Option = bool | int | float | str | list[str] | None


@dataclass(frozen=True)
class Preset:
    """Options that fit a runner.

    Attributes:
      options: Option -> value, as in `BeamConfig.options`.
      required: Options that only the user knows.
    """

    options: Mapping[str, Option]
    required: tuple[str, ...] = field(default=())


def local_workers() -> int:
    """Processors of this machine that this process may use, four at most."""
    return max(1, min(len(os.sched_getaffinity(0)), _MOST_LOCAL_WORKERS))


PRESETS: Mapping[str, Preset] = {
    # One process; the kernels use all its cores by themselves. An image named keeps
    # TFX from packing itself up for remote workers at each start.
    "local": Preset({"runner": LOCAL_RUNNER, "sdk_container_image": "none"}),
    # One process, and a bucket at a time in each thread: the kernels work outside
    # Python's lock.
    "threads": Preset(
        {
            "runner": LOCAL_RUNNER,
            "sdk_container_image": "none",
            "direct_running_mode": "multi_threading",
            "direct_num_workers": local_workers(),
        }
    ),
    "processes": Preset(
        {
            "runner": LOCAL_RUNNER,
            "sdk_container_image": "none",
            "direct_running_mode": "multi_processing",
            "direct_num_workers": local_workers(),
        }
    ),
    # One bucket at a time in each of Dataflow's processes, which are one a core.
    "dataflow": Preset(
        {
            "runner": "DataflowRunner",
            "experiments": ["use_runner_v2"],
            "machine_type": "n2-highmem-4",
            "number_of_worker_harness_threads": 1,
            "max_num_workers": 20,
        },
        required=("project", "region", "temp_location", "sdk_container_image"),
    ),
    "flink": Preset(
        {
            "runner": "FlinkRunner",
            "environment_type": "DOCKER",
            "sdk_worker_parallelism": 1,
        },
        required=("flink_master", "environment_config"),
    ),
    "spark": Preset(
        {
            "runner": "SparkRunner",
            "environment_type": "DOCKER",
            "sdk_worker_parallelism": 1,
        },
        required=("spark_master_url", "environment_config"),
    ),
}


class BeamConfig(Block):
    """How Beam runs; the `beam` section of a run's YAML, or a file of its own.

    Attributes:
      runner: A preset (local, threads, processes, dataflow, flink, spark), or a runner
        as Beam names it, which brings no options of its own.
      options: Any of Beam's pipeline options by name, without dashes. True sets a flag;
        a list repeats the option; False or null leaves out what a preset sets.
      components: The same for single components of a pipeline, by component id; these
        come on top.
      args: Further arguments as on a command line; they come last and win.

    Example:
      >>> two = BeamConfig(runner="processes", options={"direct_num_workers": 2})
      >>> two.to_args()[2:]
      ('--direct_running_mode=multi_processing', '--direct_num_workers=2')
    """

    runner: str = "local"
    options: dict[str, Option] = Field(default_factory=dict)
    components: dict[str, dict[str, Option]] = Field(default_factory=dict)
    args: tuple[str, ...] = ()

    @field_validator("options", "components")
    @classmethod
    def _no_dashes(cls, given: dict[str, Any]) -> dict[str, Any]:
        for options in (given, *(v for v in given.values() if isinstance(v, dict))):
            for name in options:
                if name.startswith("-") or "=" in name or " " in name:
                    raise ValueError(
                        f"'{name}': give an option's bare name, such as max_num_workers"
                    )
        return given

    @field_validator("args")
    @classmethod
    def _dashes(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for arg in given:
            if not arg.startswith("--"):
                raise ValueError(
                    f"'{arg}': give a Beam option as one argument that begins with "
                    "two dashes, such as --direct_num_workers=2"
                )
        return given

    @model_validator(mode="after")
    def _complete(self) -> BeamConfig:
        preset = PRESETS.get(self.runner)
        named = {arg[2:].partition("=")[0] for arg in self.args}
        missing = [
            name
            for name in (preset.required if preset else ())
            if name not in named and not self.options.get(name)
        ]
        if missing:
            raise ValueError(
                f"runner {self.runner} needs the option {' and '.join(missing)}; add "
                f"it to `options`, or as --beam-arg=--{missing[0]}=VALUE"
            )
        return self

    def to_args(self) -> tuple[str, ...]:
        """Beam's command line."""
        preset = PRESETS.get(self.runner)
        options = dict(preset.options) if preset else {"runner": self.runner}
        return (*_rendered({**options, **self.options}), *self.args)

    def component_args(self, component: str) -> tuple[str, ...]:
        """What a component's command line has on top."""
        return _rendered(self.components.get(component, {}))


def beam_config(
    runner: str | None = None, args: Sequence[str] = (), given: BeamConfig | None = None
) -> BeamConfig:
    """What a configuration file and a command line say together.

    Args:
      runner: As `BeamConfig.runner`; the file's when None.
      args: Added to the file's, which they override.
      given: The file's.

    Raises:
      InputError: An option is missing or misspelt; the message says which.

    Example:
      >>> beam_config("flink", ["--flink_master=jobs:8081"])
      Traceback (most recent call last):
      ...
      claimpt_tf.errors.InputError: Beam: runner flink needs the option
      environment_config; add it to `options`, or as
      --beam-arg=--environment_config=VALUE
    """
    fields: dict[str, Any] = given.model_dump() if given else {}
    if runner:
        fields["runner"] = runner
    fields["args"] = (*fields.get("args", ()), *args)
    try:
        return BeamConfig(**fields)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InputError(f"Beam: {message}") from None


def load_beam(
    path: str | os.PathLike[str], runner: str | None = None, args: Sequence[str] = ()
) -> BeamConfig:
    """A YAML file of BeamConfig's fields, of which the command line has the last word.

    Args:
      path: The file.
      runner: As `beam_config` takes it.
      args: Likewise.

    Raises:
      InputError: The file cannot be read, or is wrong: the message names file, line and
        field.
    """
    root, fields = load_yaml(read_yaml(path, InputError), str(path), InputError)
    if runner:
        fields["runner"] = runner
    if args:
        fields["args"] = [*(fields.get("args") or ()), *args]
    try:
        return BeamConfig.model_validate(fields)
    except ValidationError as error:
        raise InputError(describe_faults(error, root, str(path))) from None


def named_runner(args: Sequence[str]) -> str | None:
    """The runner that Beam arguments name, or None.

    Example:
      >>> named_runner(["--runner", "FlinkRunner", "--parallelism=4"])
      'FlinkRunner'
    """
    runner = None
    for arg, following in zip_longest(args, args[1:]):
        if arg.startswith("--runner="):
            runner = arg.partition("=")[2]
        elif arg == "--runner":
            runner = following
    return runner


def with_runner(args: Sequence[str], preset: str = "local") -> list[str]:
    """Beam arguments that run on this machine unless they name a runner.

    Args:
      args: Beam arguments.
      preset: What is put in front of them then.

    Example:
      >>> with_runner(["--direct_num_workers=2"])[0] == f"--runner={LOCAL_RUNNER}"
      True
    """
    own = () if named_runner(args) else BeamConfig(runner=preset).to_args()
    return [*own, *args]


def is_local(args: Sequence[str]) -> bool:
    """Whether Beam arguments, `with_runner`, keep all workers on this machine.

    Example:
      >>> is_local([]), is_local(["--runner=DataflowRunner"])
      (True, False)
    """
    return named_runner(with_runner(args)) in _LOCAL_RUNNERS


def _rendered(options: Mapping[str, Option]) -> tuple[str, ...]:
    args: list[str] = []
    for name, value in options.items():
        if value is True:
            args.append(f"--{name}")
        elif isinstance(value, list):
            args += [f"--{name}={one}" for one in value]
        elif value is not None and value is not False:
            args.append(f"--{name}={value}")
    return tuple(args)
