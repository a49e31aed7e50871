"""The page: complete, self-contained, accessible, and silent about small cells."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib import resources

import numpy as np
import polars as pl
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve

from claimpt_tf.evaluation.compare import compare
from claimpt_tf.evaluation.plots import calibration_points, recall_and_precision
from claimpt_tf.evaluation.question import question_of
from claimpt_tf.evaluation.report import render_report, write_report
from claimpt_tf.evaluation.story import Story
from claimpt_tf.tasks.spec import Task, load_task, shipped_tasks

TASK = load_task("asthma_exacerbation")
ATTRITION = {
    "task": TASK.name,
    "steps": [
        {"name": "members read", "members": 8000, "rows": None},
        {"name": "asthma <on> 2 days", "members": 600, "rows": 1200},
    ],
    "splits": {
        "train": {"members": 420, "rows": 840, "positives": 180},
        "eval": {"members": 60, "rows": 120, "positives": "<11"},
        "test": {"members": 500, "rows": 1000, "positives": "hidden"},
    },
}
STORY = Story(TASK, ATTRITION, "tuva", simulated=True, run_id="run-7")
VOID = {"meta", "link", "br"}


class Page(HTMLParser):
    """Collects what the checks need; fails on tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    def named(self, attribute: str) -> list[str]:
        return [a[attribute] or "" for _, a in self.tags if attribute in a]


@pytest.fixture(scope="module")
def frame(make_labelled) -> pl.DataFrame:
    return make_labelled(500, seed=1, rows_each=2)


@pytest.fixture(scope="module")
def scores(frame) -> dict[str, np.ndarray]:
    risk = frame["risk"].to_numpy()
    logit = np.log(risk / (1 - risk)) + np.random.default_rng(0).normal(size=len(risk))
    return {
        "pre-trained": 1 / (1 + np.exp(-logit)),
        "counts & <b>": 1 / (1 + np.exp(-0.5 * logit)),
        "prevalence": np.full(len(risk), 0.2),
        "best possible": risk,
    }


@pytest.fixture(scope="module")
def comparison(scores, frame):
    return compare(scores, frame, 100)


@pytest.fixture(scope="module")
def html(comparison, scores, frame) -> str:
    return render_report(
        comparison,
        scores,
        frame,
        STORY,
    )


@pytest.fixture(scope="module")
def page(html) -> Page:
    return Page(html)


def test_the_page_tells_what_for_whom_and_how(page, comparison) -> None:
    auroc = comparison.models["pre-trained"]["auroc"]
    for text in (
        "Asthma exacerbation",
        "1 to 180 days after the index date",
        "Synthetic data.",
        "Nothing on this page supports a clinical claim",
        "asthma <on> 2 days",
        "counts & <b>",
        f"{auroc.value:.3f}",
        f"{auroc.low:.3f} to {auroc.high:.3f}",
        "claimpt run --source tuva --input CLAIMS --task asthma_exacerbation",
        "run-7",
        "claimpt_tf 0",
    ):
        assert text in page.text, text


def test_nothing_is_fetched_or_run(page, html) -> None:
    assert not {"script", "img", "iframe", "object", "image"} & {
        t for t, _ in page.tags
    }
    for reference in page.named("href") + page.named("xlink:href") + page.named("src"):
        assert reference.startswith(("#", "data:")), reference
    assert not re.search(r"@import|url\((?!#)", html)
    assert not [name for _, a in page.tags for name in a if name.startswith("on")]


def test_ids_are_unique_and_references_resolve(page) -> None:
    ids = page.named("id")
    assert len(ids) == len(set(ids))
    wanted = {one for text in page.named("aria-labelledby") for one in text.split()}
    wanted |= {text[1:] for text in page.named("xlink:href") if text.startswith("#")}
    wanted |= set(re.findall(r"url\(#([^)]*)\)", " ".join(page.named("clip-path"))))
    assert wanted <= set(ids)


def test_plots_are_text_with_alternatives_in_the_colours_of_the_page(
    page, html
) -> None:
    plots = [a for tag, a in page.tags if tag == "svg" and a.get("role") == "img"]
    assert len(plots) == 6
    assert all("aria-labelledby" in plot for plot in plots)
    assert html.count("<desc") == 6
    assert "Area under the curve: pre-trained 0." in page.text
    drawn = "".join(re.findall(r"<svg xmlns.*?</svg>", html, re.DOTALL))
    assert "Sensitivity (recall)" in drawn
    assert "var(--series-1)" in drawn
    assert not re.findall(r"#[0-9a-f]{6}\b", drawn)
    assert "DejaVu" not in drawn


def test_the_same_input_gives_the_same_bytes(comparison, scores, frame, html, tmp_path):
    write_report(
        tmp_path / "out" / "report.html",
        comparison,
        scores,
        frame,
        STORY,
    )
    assert (tmp_path / "out" / "report.html").read_text() == html
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["report.html"]


def test_withheld_counts_stay_withheld(page, comparison, frame) -> None:
    assert f"{comparison.positives}" not in re.findall(r"(?<!\.)\b\d+", page.text)
    assert f"{comparison.prevalence:.1%}" not in page.text
    assert "prevalence" not in re.findall(r"^[\w-]+$", page.text, re.MULTILINE)
    assert not any(one in page.text for one in frame["patient_id"])


def test_counts_that_nobody_withholds_are_shown(comparison, scores, frame) -> None:
    text = Page(render_report(comparison, scores, frame, Story(TASK))).text
    assert f"{comparison.positives}" in re.findall(r"(?<!\.)\b\d+", text)
    assert f"{comparison.prevalence:.1%} of index dates" in text
    assert "Calibration slope of prevalence: every score is the same." in text


def test_few_outcomes_draw_no_curve(frame, scores) -> None:
    rare = frame.with_columns(label=(pl.int_range(pl.len()) < 6).cast(pl.Int64))
    text = Page(
        render_report(compare(scores, rare, 50), scores, rare, Story(TASK))
    ).text
    assert "No curves are drawn: fewer than 11 rows" in text
    assert "<11" in text
    assert "not shown" in text
    assert "Synthetic" not in text


@pytest.mark.parametrize("name", shipped_tasks())
def test_every_shipped_task_can_be_put_in_words(name: str) -> None:
    for heading, text in question_of(load_task(name)).items():
        assert heading and text
        assert "None" not in text


def test_a_task_with_everything_is_told_in_full() -> None:
    task = Task.model_validate(
        {
            "name": "t",
            "population": {"ages": {"min": 1, "max": 9}, "sexes": ["F"]},
            "index": {"kind": "fixed", "date": "2020-01-01"},
            "washout_days": 30,
            "gap_days": 7,
            "outcome": {"codes": [f"ICD10CM:A0{n}" for n in range(6)], "min_count": 2},
            "window_days": 90,
            "exclusions": [{"visit_types": ["IP"], "within_days": 30}],
        }
    )
    told = question_of(task)
    assert told["Window"] == "8 to 97 days after the index date"
    assert told["Outcome"].endswith("and 2 more, on 2 different days")
    assert told["Population"] == "aged 1 to 9 years; sex F"
    assert told["Washout"] == "no outcome in the 30 days before the index date"
    assert told["Excluded"] == "IP visit in the last 30 days"


def test_calibration_points_are_those_of_scikit_learn(frame, scores) -> None:
    labels, given = frame["label"].to_numpy(), scores["pre-trained"]
    observed, mean = calibration_curve(labels, given, n_bins=10, strategy="quantile")
    points = calibration_points(labels, given)
    np.testing.assert_allclose(points[:, 0], mean)
    np.testing.assert_allclose(points[:, 1], observed)
    assert (points[:, 2] <= observed).all() and (observed <= points[:, 3]).all()
    few = calibration_points(labels[:40], given[:40])
    assert 1 <= len(few) <= 3


def test_precision_starts_at_the_eleventh_row(frame, scores) -> None:
    labels, given = frame["label"].to_numpy(), scores["pre-trained"]
    recall, precision = recall_and_precision(labels, given)
    expected_precision, expected_recall, _ = precision_recall_curve(labels, given)
    told = set(zip(expected_recall.round(9), expected_precision.round(9), strict=True))
    assert set(zip(recall.round(9), precision.round(9), strict=True)) <= told
    top = np.argsort(-given)[:11]
    assert precision[0] == pytest.approx(labels[top].mean())
    assert recall[-1] == 1


def luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    if len(digits) == 3:
        digits = "".join(2 * one for one in digits)
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [
        p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_colours_stand_out_in_light_dark_and_print() -> None:
    """WCAG 2.2, level AA: 4.5 for text, 3 for lines."""
    source = resources.files("claimpt_tf.evaluation") / "page.html.j2"
    blocks = re.findall(r":root \{(.*?)\}", source.read_text(), re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        colours = dict(re.findall(r"--([\w-]+): (#\w+)", block))
        for ink in ("ink", "muted", "accent"):
            for ground in ("paper", "panel"):
                assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
        assert contrast(colours["notice-ink"], colours["notice"]) >= 4.5
        for line in ("truth", *(f"series-{number}" for number in range(1, 7))):
            assert contrast(colours[line], colours["paper"]) >= 3, line
