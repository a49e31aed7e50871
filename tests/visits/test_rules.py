"""Rules from a file: what is read, and what a fault is told like."""

from __future__ import annotations

from pathlib import Path

import pytest

from claimpt_tf.errors import InputError
from claimpt_tf.visits.rules import VisitRules, load_rules


def written(folder: Path, text: str) -> Path:
    path = folder / "rules.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_names_the_fields_to_change(tmp_path: Path) -> None:
    path = written(tmp_path, "inpatient_gap_days: 0  # strict\nlink_pharmacy: true\n")
    assert load_rules(path) == VisitRules(inpatient_gap_days=0, link_pharmacy=True)


@pytest.mark.parametrize("text", ["", "# all as it is\n", "\ufeff\n"])
def test_a_file_without_fields_gives_the_defaults(tmp_path: Path, text: str) -> None:
    assert load_rules(written(tmp_path, text)) == VisitRules()


def test_every_default_can_be_written_down(tmp_path: Path) -> None:
    text = "".join(f"{k}: {v}\n" for k, v in VisitRules().model_dump().items())
    assert load_rules(written(tmp_path, text)) == VisitRules()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "denied: drop\ninpatient_gap: 2\n",
            "line 2, inpatient_gap: unknown field (did you mean 'inpatient_gap_days'?)",
        ),
        ("outpatient: dya\n", "line 1, outpatient: 'dya' is not one of day, claim"),
        ("\ndenied: no\n", "line 2, denied: False is not one of drop, keep"),
        ("inpatient_gap_days: soon\n", "line 1, inpatient_gap_days: should be a whole"),
        ("inpatient_gap_days: -1\n", "inpatient_gap_days: should be greater than or"),
        ("link_pharmacy: 2\n", "link_pharmacy: should be"),
        ("denied: drop\ndenied: keep\n", "line 2, denied: given twice"),
        ("- denied\n", "line 1: such a file is a block of fields"),
        ("denied: [\n", "not YAML"),
    ],
)
def test_a_fault_is_told_by_file_line_and_field(
    tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(InputError) as caught:
        load_rules(written(tmp_path, text))
    assert str(caught.value).startswith(str(tmp_path / "rules.yaml"))
    assert says in str(caught.value)


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.yaml: cannot be read .No such"):
        load_rules(tmp_path / "nowhere.yaml")
    path = tmp_path / "rules.yaml"
    path.write_bytes(b"denied: \xff")
    with pytest.raises(InputError, match="not UTF-8"):
        load_rules(path)
