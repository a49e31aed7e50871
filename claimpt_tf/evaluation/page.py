"""Pages: one self-contained file each, light and dark, for a phone and for paper.

No script, no request to anywhere; light, dark and print from one style sheet.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup


def render_page(template: str, **content: Any) -> str:
    """The HTML of a page.

    Args:
        template: a file of this folder that extends `page.html.j2`.
        **content: what the template shows; `title`, `kind`, `description` and
            `synthetic` (why the data describes nobody, or None) are every page's.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("claimpt_tf", "evaluation"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cell": cell, "svg": Markup}
    return environment.get_template(template).render(**content)


def write_page(path: str | os.PathLike[str], text: str) -> None:
    """Writes a page, complete or not at all."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def cell(count: int | str | None) -> str:
    """A count, or why it is not shown.

    >>> cell(1234), cell("<11"), cell(None)
    ('1,234', '<11', '')
    """
    if count is None:
        return ""
    return f"{count:,}" if isinstance(count, int) else count
