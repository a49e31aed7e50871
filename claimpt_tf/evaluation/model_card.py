"""The model card: a Markdown page with the items of TRIPOD+AI.

Source: Collins et al. 2024, "TRIPOD+AI statement", BMJ 385:e078378; the numbers in
brackets are its items.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from claimpt_tf.evaluation.comparison import Comparison, with_interval
from claimpt_tf.evaluation.provenance import source_title, synthetic_note, versions
from claimpt_tf.evaluation.question import question_of, title_of
from claimpt_tf.evaluation.report import is_number, shown_counts
from claimpt_tf.evaluation.story import Story
from claimpt_tf.evaluation.subgroups import TITLES

FIGURES = (
    "auroc", "auprc", "brier", "calibration_in_the_large", "calibration_slope", "ici",
)  # fmt: skip


def write_card(
    path: str | os.PathLike[str],
    comparison: Comparison,
    story: Story,
    figures: Sequence[str] = FIGURES,
) -> None:
    """Writes `model_card.md`, complete or not at all; arguments as in `model_card`."""
    target = Path(path)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.write_text(model_card(comparison, story, figures), encoding="utf-8")
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def model_card(
    comparison: Comparison, story: Story, figures: Sequence[str] = FIGURES
) -> str:
    """The card's text.

    Args:
        comparison: figures; counts that the attrition withholds stay withheld.
        story: what else to tell.
        figures: those of the table; the first is told of groups.
    """
    counts = shown_counts(comparison, story.attrition, "test")
    told = [
        name
        for name in comparison.models
        if comparison.positives is None
        or is_number(counts["positives"])
        or name != "prevalence"
    ]
    rows = f"{counts['members']} members, {counts['rows']} index dates"
    if comparison.positives is not None:
        rows += f", {counts['positives']} with the outcome"
    synthetic = synthetic_note(story.source, story.simulated)
    lines = [f"# Model card: {title_of(story.task)}", ""]
    if synthetic:
        lines += [f"> **Synthetic data.** {synthetic} No clinical claim.", ""]
    lines += [
        *_section("Background and objectives (items 3, 4)", question_of(story.task)),
        *_section(
            "Data (items 5 to 7)",
            {
                "Source": source_title(story.source) or "not told",
                "Split": "by a hash of the member; no member is in two splits",
                "Evaluated how": story.split,
                "Evaluated on": rows,
            },
        ),
        *_steps(story),
        *_section(
            "Outcome and predictors (items 8, 9)",
            {
                "Predictors": "all codes, visit types, dates and paid amounts known on "
                "the index date; age and sex",
                "Missing data": "a code that was not billed is absent; unknown amounts "
                "are read as none",
            },
        ),
        *_section("Model (items 12, 15)", story.facts or {"Model": "not told"}),
        "## Performance (items 12e, 23)",
        "",
        f"{comparison.level:.0%} intervals from {comparison.n_boot:,} bootstrap "
        "replicates over members, the model held fixed.",
        "",
        "| Model | " + " | ".join(comparison.titles[one] for one in figures) + " |",
        "|---" * (len(figures) + 1) + "|",
        *(
            f"| {name} | "
            + " | ".join(
                with_interval(comparison.models[name][one]) for one in figures
            )
            + " |"
            for name in told
        ),
        "",
        *_fairness(comparison, figures[0]),
        "## Limits and use (items 25 to 27)",
        "",
        "- Outcomes are read from claims: what was not billed is not seen.",
        "- For research; not a medical device. A risk says who may be in need, not "
        "whether an intervention would help.",
        "- How the model does elsewhere must be measured there: `claimpt evaluate`.",
        *(f"- {note}" for note in story.notes),
        "",
        *_section("Lineage (items 18, 19)", story.lineage),
        *_section("Software", {"Versions": ", ".join(
            f"{name} {version}" for name, version in versions().items()
        )}),
        "Items on registration, protocol, funding, ethics and patient involvement (18, "
        "19) are the user's to fill in.",
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def _section(title: str, content: Mapping[str, str]) -> list[str]:
    if not content:
        return []
    told = [f"- **{name}**: {text}" for name, text in content.items()]
    return [f"## {title}", "", *told, ""]


def _steps(story: Story) -> list[str]:
    steps = (story.attrition or {}).get("steps", ())
    if not steps:
        return []
    rows = [
        f"| {one['name']} | {_count(one['members'])} | {_count(one['rows'])} |"
        for one in steps
    ]
    return ["| Step | Members | Index dates |", "|---|---|---|", *rows, ""]


def _count(value: int | str | None) -> str:
    """A number, or what stands where one is withheld or has no meaning."""
    return f"{value:,}" if isinstance(value, int) else value or ""


def _fairness(comparison: Comparison, name: str) -> list[str]:
    title = comparison.titles[name]
    few = ", or outcomes," if comparison.positives is not None else ""
    lines = [
        "## Fairness (items 14, 23b)",
        "",
        f"{title} of {comparison.reference} by group; groups of fewer than 11 members"
        f"{few} are not shown. p-values of the difference to everybody else are "
        "Holm's, over all groups.",
        "",
        f"| Grouping | Group | {title} | Difference | p |",
        "|---|---|---|---|---|",
    ]
    for group in comparison.subgroups:
        by = TITLES.get(group.by, group.by)
        if group.suppressed:
            lines.append(f"| {by} | {group.level} | not shown | | |")
            continue
        figure = group.models[comparison.reference][name]
        gap, p = group.differences.get(name), group.adjusted.get(name)
        between = "" if gap is None or gap.value is None else f"{gap.value:+.3f}"
        lines.append(
            f"| {by} | {group.level} | {with_interval(figure)} | {between} | "
            f"{'' if p is None else f'{p:.3f}'} |"
        )
    return [*lines, ""]
