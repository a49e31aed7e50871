"""Blocks of YAML, and where in them a fault is: line, field and what is allowed."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from claimpt_tf.errors import ClaimPTError, TaskError


class Block(BaseModel):
    """A block of the YAML: frozen, and no field beyond those declared."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _only_known_fields(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            raise PydanticCustomError(
                "not_a_block",
                "should be a block with the fields {allowed}",
                {"allowed": ", ".join(cls.model_fields)},
            )
        for key in given:
            if key not in cls.model_fields:
                near = difflib.get_close_matches(str(key), cls.model_fields, n=1)
                hint = f" (did you mean '{near[0]}'?)" if near else ""
                raise PydanticCustomError(
                    "unknown_field",
                    "unknown field{hint}; allowed here: {allowed}",
                    {"key": key, "hint": hint, "allowed": ", ".join(cls.model_fields)},
                )
        return given


def read_yaml(
    path: str | os.PathLike[str], error_type: type[ClaimPTError] = TaskError
) -> str:
    """The text of a YAML file, with or without a byte order mark.

    Args:
        path: the file.
        error_type: what is raised.

    Raises:
        ClaimPTError: no such file, one that cannot be read, or no UTF-8 text.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise error_type(
            f"{path}: not UTF-8 text (byte {error.start}); save the file as UTF-8"
        ) from None
    except OSError as error:
        raise error_type(f"{path}: cannot be read ({error.strerror})") from None


def load_yaml(
    text: str, source: str, error_type: type[ClaimPTError] = TaskError
) -> tuple[yaml.Node, Any]:
    """The YAML's nodes, which know their lines, and the values they stand for.

    Args:
        text: the YAML.
        source: what error messages call it.
        error_type: what is raised.

    Raises:
        ClaimPTError: not YAML, not a block of fields, or a field given twice.
    """
    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise error_type(
            f"{source}, line {line}: not YAML: a character that text does not have"
        ) from None
    try:
        root = loader.get_single_node()
        if not isinstance(root, yaml.MappingNode):
            raise error_type(
                f"{source}, line 1: such a file is a block of fields like "
                "'name: value'; this one holds none"
            )
        _refuse_repeats(root, source, error_type)
        _refuse_impossible(root, loader, source, error_type)
        return root, loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise error_type(f"{source}, line {line}: not YAML: {error.problem}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise error_type(f"{source}: not YAML: {error}") from None
    finally:
        loader.dispose()


def _refuse_repeats(
    node: yaml.Node, source: str, error_type: type[ClaimPTError]
) -> None:
    """YAML keeps the last of two equal keys in silence; here that is a fault."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeats(item, source, error_type)
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise error_type(f"{source}, line {line}: a field's name is one word")
            if key.value in seen:
                raise error_type(
                    f"{source}, line {line}, {key.value}: "
                    f"given twice, first on line {seen[key.value]}"
                )
            seen[key.value] = line
            _refuse_repeats(value, source, error_type)


def _refuse_impossible(
    node: yaml.Node,
    loader: yaml.SafeLoader,
    source: str,
    error_type: type[ClaimPTError],
) -> None:
    """A scalar that looks like a date or number but is none, such as 2023-02-30."""
    if isinstance(node, yaml.ScalarNode):
        if node.tag.endswith(":merge"):
            return  # the key `<<`, which stands for no value
        try:
            loader.construct_object(node)
        except ValueError as error:
            line = node.start_mark.line + 1
            raise error_type(f"{source}, line {line}: {node.value}: {error}") from None
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_impossible(item, loader, source, error_type)
    else:
        for key, value in node.value:
            _refuse_impossible(key, loader, source, error_type)
            _refuse_impossible(value, loader, source, error_type)


def describe_faults(error: ValidationError, root: yaml.Node, source: str) -> str:
    """All that pydantic found, in the order of lines, as a message for a person.

    Args:
        error: from validating the values of `root`.
        root: the file's nodes.
        source: what the message calls the file.
    """
    faults = sorted({_fault(detail, root) for detail in error.errors()})
    if len(faults) == 1:
        return f"{source}, {_fault_text(faults[0])}"
    listed = "".join(f"\n  {_fault_text(fault)}" for fault in faults)
    return f"{source} has {len(faults)} faults:{listed}"


def _fault(detail: ErrorDetails, root: yaml.Node) -> tuple[int, str, str]:
    """Line, dotted field and what is wrong, of one of pydantic's findings."""
    where, absent = list(detail["loc"]), ""
    if detail["type"] == "unknown_field":
        where.append(str(detail["ctx"]["key"]))
    elif detail["type"] == "union_tag_invalid":
        where.append("kind")
    elif detail["type"] == "union_tag_not_found":
        absent = "kind"
    elif detail["type"] == "missing":
        absent = str(where.pop())
    line, path = _walk(root, where)
    path = ".".join(part for part in (path, absent) if part)
    return line, path, _explain(detail)


def _walk(root: yaml.Node, where: Sequence[str | int]) -> tuple[int, str]:
    """The line of the place in the file, and its dotted path.

    Parts that the file does not have are the chosen variants of a union.
    """
    node, line, path = root, root.start_mark.line + 1, ""
    for part in where:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line, path = node.start_mark.line + 1, f"{path}[{part + 1}]"
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    node, line = value, key.start_mark.line + 1
                    path = f"{path}.{part}" if path else str(part)
                    break
    return line, path


_EXPECTED = {
    "int_type": "should be a whole number",
    "int_from_float": "should be a whole number",
    "int_parsing": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "string_type": "should be text; put it in quotes",
    "bool_type": "should be true or false",
    "tuple_type": "should be a list, such as [a, b]",
    "date_type": "should be a date such as 2023-01-31",
    "date_parsing": "should be a date such as 2023-01-31",
    "date_from_datetime_parsing": "should be a date such as 2023-01-31",
    "date_from_datetime_inexact": "should be a date such as 2023-01-31",
}


def _explain(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    given = repr(detail["input"])
    given = given if len(given) <= 60 else given[:57] + "..."
    if kind == "missing":
        return "missing, and required"
    if kind == "union_tag_not_found":
        return (
            "missing, and required; one of calendar, fixed, each_visit, "
            "first_diagnosis, birthday"
        )
    if kind == "union_tag_invalid":
        return _one_of(str(context["tag"]), str(context["expected_tags"]))
    if kind == "literal_error":
        return _one_of(detail["input"], str(context["expected"]))
    if kind == "value_error":
        return str(context["error"])
    if kind in ("unknown_field", "not_a_block"):
        return detail["msg"]
    if kind == "string_pattern_mismatch":
        return f"{given} does not match {context['pattern']}"
    expected = _EXPECTED.get(kind)
    if expected is None:
        expected = detail["msg"][0].lower() + detail["msg"][1:]
        expected = expected.replace("input ", "", 1)
    return f"{expected}; got {given}"


def _one_of(given: Any, quoted: str) -> str:
    """`quoted` is pydantic's list: "'a', 'b' or 'c'"."""
    allowed = [part.strip(" '") for part in quoted.replace(" or ", ",").split(",")]
    near = difflib.get_close_matches(str(given), allowed, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{given!r} is not one of {', '.join(allowed)}{hint}"


def _fault_text(fault: tuple[int, str, str]) -> str:
    line, path, text = fault
    return f"line {line}, {path}: {text}" if path else f"line {line}: {text}"
