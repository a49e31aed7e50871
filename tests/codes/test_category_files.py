"""A user's own categories: every example of docs/codes.md, and what is refused."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import polars as pl
import pytest

from claimpt_tf.codes.categories import Categories, Hierarchy, category_of
from claimpt_tf.codes.category_files import categories_digest, load_categories
from claimpt_tf.errors import InputError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "codes.md"


def written(folder: Path, text: str, name: str = "own.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def documented() -> list[tuple[list[tuple[str, str]], list[tuple[str, str]]]]:
    """Files by name, and code and category, of each example of the page."""
    found = []
    for part in PAGE.read_text().split("\n### ")[1:]:
        files = re.findall(r"`([\w.]+)`:\n\n```\n(.*?)```", part, re.DOTALL)
        rows = re.findall(r"^\| `([^`|]+)` \| `([^`|]+)` \|", part, re.MULTILINE)
        if files:
            found.append((files, rows))
    return found


@pytest.mark.parametrize("files, rows", documented())
def test_documented_examples(
    files: list[tuple[str, str]], rows: list[tuple[str, str]], tmp_path: Path
) -> None:
    paths = [written(tmp_path, text, name) for name, text in files]
    given = [path for path in paths if path.name.lower() != "concept.csv"]
    groups = load_categories(given, level=1)
    assert rows
    assert groups([code for code, _ in rows]) == [category for _, category in rows]


def test_the_page_has_every_kind_of_file() -> None:
    assert len(documented()) == 4


def test_without_files_the_published_groups_hold() -> None:
    codes = ["ICD10CM:J45901", "HCPCS:99284", "SNOMED:195967001", "ICD10CM:QQ12345"]
    assert load_categories([])(codes) == category_of(codes)


def test_codes_of_a_file_are_made_canonical(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "\ufeffCode, Category ,note\n icd10cm:j45.20 ,mild,x\nNDC:173-682-20,spray,\n"
        "ICD9CM:42,hiv,\nHCPCS:99213-25,visit,\n",
    )
    groups = load_categories([path])
    assert groups(["ICD10CM:J4520", "ICD9CM:042", "HCPCS:99213"]) == [
        "mild", "hiv", "visit",
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet", "tsv"])
def test_a_system_column_and_any_format(tmp_path: Path, suffix: str) -> None:
    table = pl.DataFrame(
        {"system": ["ICD10CM", "SNOMED"], "code": ["J45*", "1"], "category": ["a", "b"]}
    )
    path = tmp_path / f"own.{suffix}"
    if suffix == "parquet":
        table.write_parquet(path)
    elif suffix == "csv.gz":
        path.write_bytes(gzip.compress(table.write_csv().encode()))
    else:
        table.write_csv(path, separator="\t" if suffix == "tsv" else ",")
    groups = load_categories([path])
    assert groups(["ICD10CM:J4520", "SNOMED:1", "SNOMED:11"]) == ["a", "b", "SNOMED:11"]


def test_own_mapping_goes_before_a_hierarchy(tmp_path: Path) -> None:
    tree = written(tmp_path, "code,parent\nSNOMED:2,SNOMED:1\nSNOMED:3,SNOMED:2\n")
    own = written(tmp_path, "code,category\nSNOMED:3,mine\n", "mapping.csv")
    assert load_categories([tree], 1)(["SNOMED:3"]) == ["SNOMED:2"]
    assert load_categories([tree, own], 1)(["SNOMED:3"]) == ["mine"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("code,category\n", "holds no row"),
        ("code,categories\nICD10CM:A,x\n", "did you mean 'category'"),
        ("a,b\n1,2\n", "its columns are a, b"),
        ("code,Code,category\n1,2,3\n", "two columns have the same name"),
        ("code,category\nJ45,asthma\n", "line 2, code: names no known code system"),
        ("code,category\nMINE:J45,asthma\n", "write SYSTEM:CODE with one of ICD10CM"),
        ("code,category\nICD10CM:J45,x\n,y\n", "line 3, code: is empty"),
        ("code,category\nICD10CM:J45,x\nICD10CM:J46,\n", "line 3, category: is empty"),
        ("code,category\nICD10CM:...,x\n", "line 2, code: holds no code"),
        (
            "code,category\nICD10CM:J45,x\nICD10CM:j45.,y\n",
            "line 3, category: ICD10CM:J45 is 'y' here and 'x' on line 2",
        ),
        ("code,parent\nSNOMED:1,SNOMED:2\nSNOMED:2,SNOMED:1\n", "their own ancestors"),
        (
            "ancestor_concept_id,descendant_concept_id,min_levels_of_separation\n1,2,1\n",
            "put it in",
        ),
    ],
)
def test_a_fault_is_told_by_file_line_and_column(
    tmp_path: Path, text: str, says: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError) as caught:
        load_categories([path])
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.csv: cannot be read"):
        load_categories([tmp_path / "nowhere.csv"])
    (tmp_path / "own.csv.gz").write_bytes(b"\x1f\x8bxx")
    with pytest.raises(InputError, match=r"own\.csv\.gz"):
        load_categories([tmp_path / "own.csv.gz"])


def test_the_nearest_ancestor_of_a_concept_with_several_parents() -> None:
    edges = [
        ("X:lung", "X:root"), ("X:heart", "X:root"), ("X:airway", "X:lung"),
        ("X:asthma", "X:airway"), ("X:asthma", "X:heart"),
    ]  # fmt: skip
    assert Hierarchy(edges, level=1).get("X:asthma") == "X:heart"
    assert Hierarchy(edges, level=2).get("X:airway") == "X:airway"
    with pytest.raises(InputError, match="give 1 or more"):
        Hierarchy(edges, level=0)


def test_the_longest_start_decides() -> None:
    groups = Categories({"ICD10CM:J*": "lung", "ICD10CM:J45*": "asthma"})
    assert groups(["ICD10CM:J452", "ICD10CM:J18", "ICD10CM:J45"]) == [
        "asthma", "lung", "asthma",
    ]  # fmt: skip


def test_a_digest_follows_the_content(tmp_path: Path) -> None:
    path = written(tmp_path, "code,category\nICD10CM:J45,x\n")
    first = categories_digest([path])
    written(tmp_path, "code,category\nICD10CM:J45,y\n")
    assert categories_digest([path]) != first
    assert categories_digest([]) == ""
    assert categories_digest([tmp_path / "elsewhere.csv"])
