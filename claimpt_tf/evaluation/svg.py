"""Matplotlib figures as inline SVG that follows the page: its colours, its type.

Plots are drawn in placeholder colours, which become CSS variables, so that one
drawing serves light, dark and print. Text stays text. Element ids carry the plot's
name, because several drawings share one page, and the same input gives the same
bytes.
"""

from __future__ import annotations

import io
import re
from contextlib import AbstractContextManager
from typing import Final
from xml.sax.saxutils import escape

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK: Final = "#010203"
MUTED: Final = "#010204"
GRID: Final = "#010205"
SERIES: Final = tuple(f"#0a0b{number:02x}" for number in range(1, 7))
TRUTH: Final = "#0a0c01"
_VARIABLES: Final = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    TRUTH: "--truth",
    **{colour: f"--series-{place}" for place, colour in enumerate(SERIES, 1)},
}
_STYLE: Final = {
    "svg.fonttype": "none",
    "svg.hashsalt": "claimpt",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "figure.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
}


def plot_style() -> AbstractContextManager[None]:
    """Within it, figures are drawn in the page's placeholder colours."""
    return matplotlib.rc_context(_STYLE)


def inline_svg(figure: Figure, name: str, title: str, description: str) -> str:
    """A figure as an `<svg>` element for an HTML page.

    Args:
        figure: drawn within `plot_style`.
        name: prefix of all ids; letters and hyphens, once a page.
        title: the alt text's heading.
        description: what the plot shows, in words and figures.
    """
    FigureCanvasSVG(figure)
    with plot_style():
        buffer = io.StringIO()
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=metadata)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r"\bfont: ([\d.]+px)[^;\"]*", r"font-size: \1", text)
    text = re.sub(r"\bfont-family: [^;\"]*;?\s*", "", text)  # the page's own
    view_box = re.search(r'viewBox="[^"]*"', text)
    assert view_box is not None
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink" {view_box[0]} role="img" '
        f'aria-labelledby="{name}-title {name}-description">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-description">{escape(description)}</desc>'
    )
    return re.sub(r"<svg[^>]*>", lambda _: opening, text, count=1).strip()
