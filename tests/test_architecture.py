"""The rooms of the project, and the direction in which they may import each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = ("claimpt_tf", "components", "pipeline")
SOURCES = sorted(
    path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py")
)
TESTED = SOURCES + sorted(
    path
    for folder in ("tests", "benchmarks")
    for path in (REPOSITORY / folder).rglob("*.py")
)

# What a room of the library may import besides itself, claimpt_tf.errors and
# claimpt_tf's version. Rooms of one tier may use each other one way, not both.
ROOMS: dict[str, set[str]] = {
    "claims": {"codes"},
    "codes": {"claims"},
    "visits": {"claims", "codes"},
    "tasks": {"claims", "codes", "visits"},
    "models": set(),
    "training": {"claims", "codes", "visits", "tasks", "models"},
}
ROOMS["evaluation"] = {*ROOMS, "serving"}
ROOMS["serving"] = {*ROOMS}
ROOMS["datasets"] = {"claims", "codes", "visits"}


def name(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def module_of(path: Path) -> list[str]:
    return list(path.relative_to(REPOSITORY).with_suffix("").parts)


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every imported dotted name with its line, inside functions too.

    `from a import b` gives `a.b`: b may be a module.
    """
    for node in nodes(path):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = module_of(path)[: -node.level] if node.level else []
            base += node.module.split(".") if node.module else []
            for alias in node.names:
                yield ".".join([*base, alias.name]), node.lineno


def offences(paths: list[Path], forbidden: set[str]) -> list[str]:
    return [
        f"{name(path)}:{line} imports {imported}"
        for path in paths
        for imported, line in imports(path)
        if any(imported == one or imported.startswith(f"{one}.") for one in forbidden)
    ]


def within(*folders: str) -> list[Path]:
    roots = [REPOSITORY / folder for folder in folders]
    return [path for path in SOURCES if any(root in path.parents for root in roots)]


def room_imports() -> Iterator[tuple[str, str, str]]:
    """(room, imported room, where) over the library."""
    for room in ROOMS:
        for path in within(f"claimpt_tf/{room}"):
            for imported, line in imports(path):
                parts = imported.split(".")
                if parts[0] == "claimpt_tf" and len(parts) > 1 and parts[1] in ROOMS:
                    yield room, parts[1], f"{name(path)}:{line} imports {imported}"


def test_every_folder_of_the_library_is_a_known_room() -> None:
    folders = {
        path.parent.name for path in (REPOSITORY / "claimpt_tf").glob("*/__init__.py")
    }
    assert folders == {*ROOMS, "commands"}


def test_the_library_runs_without_tfx_components_and_pipeline() -> None:
    forbidden = {"tfx", "ml_metadata", "kfp", "components", "pipeline"}
    assert offences(within("claimpt_tf"), forbidden) == []


def test_components_do_not_import_the_pipeline() -> None:
    assert offences(within("components"), {"pipeline"}) == []


def test_nothing_imports_the_command_line() -> None:
    entry = REPOSITORY / "claimpt_tf" / "__main__.py"
    others = [path for path in SOURCES if path != entry]
    edge = {"claimpt_tf.cli", "claimpt_tf.commands"}
    outside = [path for path in others if path.parent.name != "commands"]
    assert offences([p for p in outside if p.stem != "cli"], edge) == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_earlier_rooms_only(room: str) -> None:
    allowed = ROOMS[room] | {room}
    assert [
        where
        for importer, imported, where in room_imports()
        if importer == room and imported not in allowed
    ] == []


def test_rooms_do_not_import_in_a_circle() -> None:
    graph: dict[str, set[str]] = {room: set() for room in ROOMS}
    for room, imported, _ in room_imports():
        if room != imported:
            graph[room].add(imported)
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_keras_is_never_reached_through_tensorflow() -> None:
    """tensorflow_transform turns tf.keras into Keras 2."""
    found = offences(TESTED, {"tensorflow.keras", "tf_keras"})
    for path in TESTED:
        names = {
            alias.asname or alias.name
            for node in nodes(path)
            if isinstance(node, ast.Import)
            for alias in node.names
            if alias.name == "tensorflow"
        }
        found += [
            f"{name(path)}:{node.lineno} uses {node.value.id}.keras"
            for node in nodes(path)
            if isinstance(node, ast.Attribute)
            and node.attr == "keras"
            and isinstance(node.value, ast.Name)
            and node.value.id in names
        ]
    assert found == []


def test_no_file_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert [name(path) for path in TESTED if path.stem in drawers] == []


def test_no_file_is_longer_than_500_lines() -> None:
    lengths = {name(path): len(path.read_text().splitlines()) for path in TESTED}
    assert {path: length for path, length in lengths.items() if length > 500} == {}
