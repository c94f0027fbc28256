"""Small pictures as SVG text, for ``st.image``: Streamlit strips SVG out of HTML, but shows it as an image."""

from collections.abc import Sequence
from html import escape

from fedhealth.dashboards.colours import palette

Value = float | None
Band = tuple[float, float] | None  # from, to
PEOPLE, PER_ROW = 100, 20  # of an icon array
SPARKLINE = 220, 44  # width, height
METER = 300, 26


def icon_array(filled: int, colour: str) -> str:
    """100 people as circles, ``filled`` of them solid."""
    step, radius, empty, rim = 17, 6.2, palette().paper, palette().grey
    circles = "".join(
        f'<circle cx="{step * (i % PER_ROW) + 8.5:g}" cy="{step * (i // PER_ROW) + 8.5:g}" r="{radius}" '
        f'fill="{colour if i < filled else empty}" stroke="{colour if i < filled else rim}" stroke-width="1.1"/>'
        for i in range(PEOPLE)
    )
    return _svg(step * PER_ROW, step * (PEOPLE // PER_ROW), circles)


def sparkline(values: Sequence[Value]) -> str:
    """A line over equal steps with a dot at its end; None is a gap."""
    width, height = SPARKLINE
    known = [value for value in values if value is not None]
    if not known:
        return _svg(width, height, "")
    low, high = min(known), max(known)
    points = _points(values, (6, width - 6), (6, height - 6), (low, high if high > low else low + 1))
    return _svg(width, height, _line(points) + _dot(points))


def meter(value: float, limit: float) -> str:
    """A bar from 0 to ``limit``, filled up to ``value``, in the limit's colour from there on."""
    width, height = METER
    colours, share = palette(), min(value / limit, 1.0) if limit else 1.0
    fill = colours.limit if value >= limit else colours.primary
    place = f'x="1" y="5" height="{height - 10}" rx="4"'
    return _svg(
        width,
        height,
        f'<rect {place} width="{width - 2}" fill="{colours.paper}" stroke="{colours.grey}"/>'
        f'<rect {place} width="{share * (width - 2):.1f}" fill="{fill}"/>',
    )


def small_trend(
    values: Sequence[Value],
    top: float,
    threshold: float | None,
    ends: tuple[str, str],
    bands: Sequence[Band] = (),
) -> str:
    """A trend on a y-axis from 0 to ``top``, with a dashed line at ``threshold`` and a date at either end.

    ``bands`` are drawn as a shade around it, with an edge that is seen without colours.
    """
    width, height, left, right, upper, lower = 330, 130, 30, 324, 10, 106
    place = (left + 3, right - 6), (upper, lower), (0.0, top)
    points = _points(values, *place)
    low, high = (_points([band and band[end] for band in bands], *place) for end in (0, 1))
    axis = "".join(_tick(left, right, lower - (lower - upper) * share, f"{top * share:.0f}") for share in (0, 0.5, 1))
    dates = _text(left, height - 6, ends[0], "start") + _text(right, height - 6, ends[1], "end")
    limit = _limit(threshold, top, left, right, upper, lower)
    return _svg(width, height, axis + _shade(low, high) + limit + dates + _line(points) + _dot(points))


def _points(
    values: Sequence[Value], x: tuple[float, float], y: tuple[float, float], span: tuple[float, float]
) -> list[tuple[float, float] | None]:
    """Where each value lies in the picture; ``y`` and ``span`` are (upper, lower) and (lowest, highest)."""
    across = (x[1] - x[0]) / max(len(values) - 1, 1)
    scale = (y[1] - y[0]) / (span[1] - span[0])
    return [
        None if value is None else (x[0] + i * across, y[1] - (min(value, span[1]) - span[0]) * scale)
        for i, value in enumerate(values)
    ]


def _shade(low: Sequence[tuple[float, float] | None], high: Sequence[tuple[float, float] | None]) -> str:
    """A closed shape over each run of days without a gap; over a single day it is an upright line."""
    colour, shapes, run = palette().primary, [], list[tuple[tuple[float, float], tuple[float, float]]]()
    for below, above in [*zip(low, high, strict=True), (None, None)]:
        if below and above:
            run.append((below, above))
        elif run:
            corners = [above for _, above in run] + [below for below, _ in reversed(run)]
            shapes.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in corners) + "Z")
            run = []
    look = f'fill="{colour}" fill-opacity="0.18" stroke="{colour}" stroke-opacity="0.6" stroke-width="0.8"'
    return f'<path class="band" d="{"".join(shapes)}" {look}/>' if shapes else ""


def _line(points: Sequence[tuple[float, float] | None]) -> str:
    path, pen = "", "M"
    for point in points:
        path += "" if point is None else f"{pen}{point[0]:.1f} {point[1]:.1f}"
        pen = "M" if point is None else "L"
    return f'<path d="{path}" fill="none" stroke="{palette().primary}" stroke-width="2" stroke-linejoin="round"/>'


def _dot(points: Sequence[tuple[float, float] | None]) -> str:
    last = next((point for point in reversed(points) if point is not None), None)
    return "" if last is None else f'<circle cx="{last[0]:.1f}" cy="{last[1]:.1f}" r="3.5" fill="{palette().primary}"/>'


def _tick(left: float, right: float, y: float, label: str) -> str:
    rule = f'<line x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="{palette().grid}" stroke-width="1"/>'
    return rule + _text(left - 5, y + 4, label, "end")


def _limit(threshold: float | None, top: float, left: float, right: float, upper: float, lower: float) -> str:
    if threshold is None or not 0 <= threshold <= top:
        return ""
    y = lower - (lower - upper) * threshold / top
    place = f'x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"'
    return f'<line {place} stroke="{palette().limit}" stroke-dasharray="5 4" stroke-width="1.6"/>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return (
        f'<text x="{x:g}" y="{y:.1f}" text-anchor="{anchor}" font-family="sans-serif" font-size="11" '
        f'fill="{palette().ink}">{escape(words)}</text>'
    )


def _svg(width: float, height: float, content: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">{content}</svg>'
    )
