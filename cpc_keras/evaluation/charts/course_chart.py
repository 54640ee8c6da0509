"""A metric over the epochs."""

from collections.abc import Sequence

from cpc_keras.evaluation.charts.themed_svg import SERIES, legend_title, themed_svg

DASHES = ("-", "--", ":")


def course_chart(
    lines: Sequence[dict], *, name: str, title: str, unit: str, x_title: str = "epoch"
) -> str:
    """Draw one or more courses of a metric.

    Args:
        lines: dicts with `title`, `points` (list of `(x, y)`), `color` (a number) and `dashes` (0
            solid, 1 dashed, 2 dotted); lines of one title share their place in the legend.
        name: of the chart, unique in its page.
        title: what is shown, the chart's heading.
        unit: at the y axis.
        x_title: at the x axis.

    Returns:
        An SVG element.
    """

    def draw(figure):
        axes = figure.subplots()
        told = set()
        for line in lines:
            axes.plot(
                *zip(*line["points"], strict=True),
                label=None if line["title"] in told else legend_title(line["title"]),
                color=SERIES[line["color"] % len(SERIES)],
                linestyle=DASHES[line["dashes"]],
                # A mark for each point where there are few: a single one has no line.
                marker="o" if len(line["points"]) <= 12 else None,
                markersize=3,
            )
            told.add(line["title"])
        axes.set_xlabel(x_title)
        axes.set_ylabel(unit)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_title(title, loc="left")
        longest = max(map(len, told))
        figure.legend(loc="outside lower left", ncols=2 if longest <= 20 else 1)

    ends = [
        f"{line['title']} from {line['points'][0][1]:.3g} to {line['points'][-1][1]:.3g}"
        for line in lines
    ]
    return themed_svg(draw, name=name, description=f"{title} over {x_title}: {'; '.join(ends)}.")
