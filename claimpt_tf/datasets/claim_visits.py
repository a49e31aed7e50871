"""The data set `claim_visits`: one visit sequence a patient, by Beam."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_datasets as tfds
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pvalue import PCollection

from claimpt_tf.beam_options import LOCAL_RUNNER
from claimpt_tf.claims.readers.registry import reader_for
from claimpt_tf.claims.simulator.config import SimulationConfig
from claimpt_tf.claims.simulator.simulate import simulate
from claimpt_tf.claims.simulator.write import write_simulation
from claimpt_tf.datasets.synpuf_files import download_urls, holds_synpuf, unpack
from claimpt_tf.visits.claims_to_records import (
    Block,
    ClaimsToBlocks,
    WriteCounts,
    WriteQuarantine,
)
from claimpt_tf.visits.ingest import choose_buckets, estimated_lines
from claimpt_tf.visits.records import decode
from claimpt_tf.visits.splits import SPLITS
from claimpt_tf.visits.summary import MAX_QUARANTINED, check_quarantined, summarise

# Patients of public data are nobody: one key gives everyone the same splits.
PUBLIC_KEY = Path(__file__).with_name("public.key")
SPLIT_NAMES = dict(zip(SPLITS, ("train", "validation", "test"), strict=True))

_COUNTS, _SUMMARY, _QUARANTINE = "counts.json", "summary.json", "quarantine"


@dataclass(eq=False)
class ClaimVisitsConfig(tfds.core.BuilderConfig):
    """Which claims become visits.

    Attributes:
      source: Input standard: "tuva" for simulated claims, "synpuf" for DE-SynPUF.
      members: Simulated children; 0 for DE-SynPUF.
      years: Simulated years, the last of them 2023.
      seed: Of the simulation.
      sample: Sample of DE-SynPUF to download, 1 to 20, where no files are given.
    """

    source: str = "tuva"
    members: int = 0
    years: int = 3
    seed: int = 7
    sample: int = 1


class ClaimVisits(tfds.core.GeneratorBasedBuilder):
    """Visit sequences of simulated children, or of Medicare's synthetic patients.

    An example is a patient, with the names of the record (docs/visits.md): `codes` is
    ragged, one list of `SYSTEM:CODE` a visit; the other visit features have one entry
    a visit. `train`, `validation` and `test` are the hash splits of the library.

    Other sizes are a config of one's own, under a name of its own:

        config = ClaimVisitsConfig(name="children_20k", members=20_000, seed=1)
        tfds.builder("claim_visits", config=config)

    Beam runs on this machine unless the DownloadConfig names a runner or options.
    Beside the examples stand `summary.json` and `quarantine/` of the ingest.
    """

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [
        ClaimVisitsConfig(
            name="simulated",
            description="2,000 simulated children, three years. Nobody is real.",
            members=2000,
        ),
        ClaimVisitsConfig(
            name="synpuf",
            description="CMS DE-SynPUF 2008-2010, synthetic Medicare claims.",
            source="synpuf",
        ),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    For `synpuf`: put the files of one or more samples of CMS DE-SynPUF, as CSV or
    gzip CSV, in the folder, or in a folder a sample within it. Without them sample
    `config.sample` is downloaded from cms.gov.
    """

    builder_config: ClaimVisitsConfig

    def _info(self) -> tfds.core.DatasetInfo:
        number, text = tfds.features.Scalar(np.int64), tfds.features.Text()
        days = tfds.features.Sequence(np.int64)
        return self.dataset_info_from_configs(
            description=self.__doc__,
            homepage="https://www.cms.gov/data-research/statistics-trends-and-reports/"
            "medicare-claims-synthetic-public-use-files",
            features=tfds.features.FeaturesDict(
                {
                    "patient_id": text,
                    "sex": text,
                    "birth_days": number,
                    "institution": text,
                    "enrolled_from": days,
                    "enrolled_to": days,
                    "visit_days": days,
                    "visit_types": tfds.features.Sequence(text),
                    "visit_length": days,
                    "codes": tfds.features.Sequence(tfds.features.Sequence(text)),
                    "cost": tfds.features.Sequence(np.float32),
                }
            ),
        )

    def download_and_prepare(
        self,
        *,
        download_config: tfds.download.DownloadConfig | None = None,
        **kwargs: Any,
    ) -> None:
        """As every builder's, with a Beam runner that needs no download."""
        config = download_config or tfds.download.DownloadConfig()
        if config.beam_options is None:
            config.beam_runner = config.beam_runner or LOCAL_RUNNER
            # Beam's own default reads the command line of whatever program this is.
            config.beam_options = PipelineOptions([])
        super().download_and_prepare(download_config=config, **kwargs)

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager, pipeline: beam.Pipeline
    ) -> dict[str, PCollection]:
        """Runs the ingest once, for all splits."""
        folder = str(self._claims(dl_manager))
        reader = reader_for(self.builder_config.source)
        reader.check(folder)
        lines = sum(estimated_lines(unit) for unit in reader.units(folder))
        made = pipeline | "Claims" >> ClaimsToBlocks(
            self.builder_config.source,
            folder,
            key_file=str(PUBLIC_KEY),
            buckets=choose_buckets(lines),
        )
        _ = made["counts"] | "Counts" >> WriteCounts(self._beside(_COUNTS))
        _ = made["quarantine"] | "Quarantine" >> WriteQuarantine(
            self._beside(_QUARANTINE)
        )
        generate = beam.ptransform_fn(self._generate_examples)
        return {
            name: made["blocks"] | name >> generate(split)
            for split, name in SPLIT_NAMES.items()
        }

    def _generate_examples(self, blocks: PCollection, split: str) -> PCollection:
        """Examples of one split."""
        return blocks | beam.FlatMap(_examples, split)

    def _process_pipeline_result(self, pipeline_result: Any) -> None:
        """Checks that no line was lost, as every ingest does.

        Raises:
          ArtifactError: Lines read and lines accounted for differ.
          InputError: Too many lines were unusable.
        """
        counts = Path(self._beside(_COUNTS))
        summary = summarise(json.loads(counts.read_text()))
        counts.unlink()
        Path(self._beside(_SUMMARY)).write_text(summary.to_json())
        check_quarantined(summary, MAX_QUARANTINED)

    def _beside(self, name: str) -> str:
        """A path in the folder of the examples."""
        return os.path.join(os.fspath(self.data_path), name)

    def _claims(self, dl_manager: tfds.download.DownloadManager) -> Path:
        """The folder of the claims tables: simulated, given, or downloaded."""
        config = self.builder_config
        place = Path(dl_manager.download_dir) / self.name / config.name
        if config.source != "synpuf":
            shutil.rmtree(place, ignore_errors=True)
            wanted = SimulationConfig(config.members, config.years, config.seed)
            write_simulation(simulate(wanted), place)
            return place
        try:
            given = Path(dl_manager.manual_dir)
        except AssertionError:  # not there, or empty
            given = None
        if given and holds_synpuf(given):
            return given
        return unpack(dl_manager.download(download_urls(config.sample)), place)


def _examples(block: Block, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in decode(block.records[split]).iter_rows(named=True):
        yield row["patient_id"], row
