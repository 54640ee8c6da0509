"""A Matplotlib figure as SVG whose colors are those of the page around it."""

import html
import io
import re
from collections.abc import Callable

# Colors that no chart uses, each put in place of one of the page's: CSS decides what they are, and
# can decide anew for a dark page.
TEXT, LINE = "#fe0100", "#fe0200"
SERIES = tuple(f"#fe03{i:02x}" for i in range(8))
OF_PAGE = {
    TEXT: "currentColor",
    LINE: "var(--line)",
    **{color: f"var(--series-{i})" for i, color in enumerate(SERIES)},
}


def legend_title(name: str) -> str:
    """A name as a legend shows it: Matplotlib leaves those out that begin with an underscore."""
    return f"\u200b{name}" if name.startswith("_") else name


def themed_svg(
    draw: Callable, *, name: str, description: str, width: float = 3.8, height: float = 3.0
) -> str:
    """Draw a figure and return it as an accessible SVG element.

    Text stays text: it can be searched and selected, and has the page's font.

    Args:
        draw: function that draws into a `matplotlib.figure.Figure`. Of colors it uses `TEXT`,
            `LINE` and `SERIES` of this module; a page that shows the SVG sets `--line` and
            `--series-0` to `--series-7`.
        name: of the chart, unique in its page: letters, digits and hyphens.
        description: what a reader who cannot see the chart should know.
        width: in inches; the SVG scales with the page, its text is 8.5 points at this width.
        height: in inches.

    Returns:
        `<svg role="img" ...>...</svg>`.

    Example:
        >>> svg = themed_svg(lambda figure: figure.subplots().plot([1, 2], color=SERIES[0]),
        ...                  name="line", description="A line that rises from 1 to 2.")
        >>> svg.startswith("<svg role="), "var(--series-0)" in svg
        (True, True)
    """
    import matplotlib
    from matplotlib.figure import Figure

    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": name,  # the same chart gives the same file
        "font.size": 8.5,
        "text.color": TEXT,
        "axes.labelcolor": TEXT,
        "axes.edgecolor": TEXT,
        "axes.titlesize": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "xtick.color": TEXT,
        "ytick.color": TEXT,
        "grid.color": LINE,
        "grid.linewidth": 0.6,
        "lines.linewidth": 1.6,
        "lines.markersize": 4.5,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "legend.handlelength": 2.8,
        "text.parse_math": False,  # a run or a class may have a name with dollars
    }
    with matplotlib.rc_context(settings):
        # The object interface: pyplot would keep global state and pick a window system.
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    for color, of_page in OF_PAGE.items():
        svg = svg.replace(color, of_page)
    # Several charts share a page: none may use another's parts.
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", svg)
    label = html.escape(description, quote=True)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1).strip()
