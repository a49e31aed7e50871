"""Beam options of a whole pipeline and of single components."""

from __future__ import annotations

from pathlib import Path

import pytest

from claimpt_tf.beam_options import BeamConfig
from claimpt_tf.errors import InputError
from pipeline.configs import RunConfig
from tests.pipeline.conftest import small_config


def config(tmp_path: Path, **beam: object) -> RunConfig:
    return small_config(tmp_path, true_risk="", beam=BeamConfig(**beam))


@pytest.mark.slow
def test_a_component_has_its_own_options_on_top(tmp_path: Path) -> None:
    from pipeline.pipeline import create_pipeline

    chosen = config(
        tmp_path,
        runner="processes",
        options={"direct_num_workers": 2},
        components={"Transform": {"direct_num_workers": 1}},
    )
    made = create_pipeline(chosen, str(tmp_path), str(tmp_path))
    args = {
        component.id: component.executor_spec.beam_pipeline_args
        for component in made.components
        if hasattr(component.executor_spec, "beam_pipeline_args")
    }
    assert args["ClaimsExampleGen"] == list(chosen.beam.to_args())
    assert args["Transform"] == [*chosen.beam.to_args(), "--direct_num_workers=1"]
    wrong = config(tmp_path, components={"Transformer": {"direct_num_workers": 1}})
    with pytest.raises(InputError, match="Transformer does not run on Beam.*Transform"):
        create_pipeline(wrong, str(tmp_path), str(tmp_path))


def test_the_run_options_and_the_file_name_a_runner(tmp_path: Path) -> None:
    from pipeline.options import build_config

    file = tmp_path / "run.yaml"
    file.write_text("beam:\n  options: {direct_num_workers: 2}\n")
    made = build_config(
        str(tmp_path / "month-{SPAN}"), "tuva", "asthma_exacerbation", "tiny", 1, 7,
        0.5, True, "", ("--direct_test_splits={}",), str(file), runner="processes",
    )  # fmt: skip
    assert made.beam.to_args()[-3:] == (
        "--direct_running_mode=multi_processing",
        "--direct_num_workers=2",
        "--direct_test_splits={}",
    )
    assert (made.input_base, made.pattern) == (str(tmp_path), "month-{SPAN}/*")
    with pytest.raises(InputError, match="runner dataflow needs the option project"):
        build_config(
            str(tmp_path), "tuva", "asthma_exacerbation", "tiny", 1, 7, 0.5, True, "",
            (), None, runner="dataflow",
        )  # fmt: skip
