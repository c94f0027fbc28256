"""The quality report as one page that needs nothing from elsewhere."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT = 320, 90
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c2430; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; } td, th { padding: .15rem .9rem .15rem 0; text-align: left; vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; } .note { color: #5a6675; }
.features { display: grid; grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); gap: 1.2rem; }
figure { margin: 0; padding: .8rem; border: 1px solid #d8dee6; border-radius: 6px; } rect { fill: #3b6ea5; }
rect.m { fill: #8aa9c9; } text { font-size: 11px; fill: #5a6675; }
@media (prefers-color-scheme: dark) { body { background: #14181d; color: #dfe5ec; } figure { border-color: #333c47; } }
"""


def quality_page(report: Mapping[str, Any]) -> str:
    """HTML of a quality report, with a plot of every feature; no script, no outside request."""
    title = f"Import of {report['node']}, study {report['study']}"
    gaps = _gaps(report)
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{size_words(report)}, in <code>{escape(report['table'])}</code>. {gaps}</p>",
        '<p class="note">This page stays with the node: it names the files that were read, and shows counts of few '
        "people and readings that were dropped.</p>",
        "<h2>Features</h2>",
        _missing(report["missing"]),
        *(f"<p>{escape(words)}</p>" for words in (outcome_words(report), context_words(report)) if words),
        f'<div class="features">{"".join(_feature(f) for f in report["features"].values())}</div>',
        "<h2>Read</h2>",
        _table([(file, what, count) for file, counts in report["files"].items() for what, count in counts.items()]),
        "<h2>Kept, by kind of reading</h2>",
        _table(report["kept"].items()),
        "<h2>Dropped</h2>",
        _table(
            [(d["reason"], d["readings"], f"such as {d['example']}" if d["example"] else "") for d in report["dropped"]]
        ),
        "<h2>Days that cannot be used, by kind of reading</h2>",
        _table(report["unusable"].items()),
        "<h2>Units converted</h2>",
        _table(report["converted"].items()),
        "<h2>Clocks</h2>",
        f'<p class="note">Offset from UTC; clocks without one were taken to be in '
        f"{escape(report['clocks']['zone_of_the_others'])}.</p>",
        _table(report["clocks"]["offsets"].items()),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n<body>{body}</body></html>\n'


def _gaps(report: Mapping[str, Any]) -> str:
    gaps = report["gaps"]
    if not gaps["gaps"]:
        return "No day is missing in between."
    return f"{gaps['days_missing']:,} days are missing in between, at most {gaps['longest']:,} in a row."


def size_words(report: Mapping[str, Any]) -> str:
    """How many rows of whom and when, and how many they take the place of."""
    people = f" of {_counted(report['people'], 'person', 'people')}" if report["people"] else ""
    words = f"{_counted(report['rows'], 'row', 'rows')}{people}, {report['first']} to {report['last']}"
    before = report["replaced"]
    return words if before is None else f"{words}, instead of {_counted(before, 'row', 'rows')} before"


def _counted(count: int, one: str, more: str) -> str:
    return f"{count:,} {one if count == 1 else more}"


def outcome_words(report: Mapping[str, Any]) -> str:
    """For how many rows the outcome is known and happened, in a sentence; empty where its columns hold nothing."""
    found = report["outcome"]
    if not found:
        return ""
    values = (f"{name} {', '.join(f'{v}: {n:,}' for v, n in told.items())}" for name, told in found["values"].items())
    odd = {value for told in found["values"].values() for value in told} - {"0", "1"}
    rule = f"; values above {found['above']:g} count as happened" if odd else ""
    held = f"({'; '.join(values)}){rule}"
    rows = _counted(found["rows"], "row", "rows")
    return f"Outcome, {found['title']}: known for {rows}, happened in {found['happened']:,} {held}."


def context_words(report: Mapping[str, Any]) -> str:
    """How far the environment that was imported or pulled reaches, in a sentence; empty where there is none."""
    found = report["context"]
    if not found:
        return ""
    words = f"Context of city and day: found for {found['rows']:,} of {report['rows']:,} rows"
    if found["without_city"]:
        words += f"; {found['without_city']:,} rows have no city"
    return words + (f"; it does not know {', '.join(found['unknown_cities'])}." if found["unknown_cities"] else ".")


def _missing(names: Sequence[str]) -> str:
    return f"<p>Without a usable day: {escape(', '.join(names))}.</p>" if names else ""


def _table(rows: Iterable[Sequence[object]]) -> str:
    cells = ["".join(_cell(value) for value in row) for row in rows]
    return f"<table>{''.join(f'<tr>{c}</tr>' for c in cells)}</table>" if cells else '<p class="note">None.</p>'


def _cell(value: object) -> str:
    return f'<td class="n">{value:,}</td>' if isinstance(value, int) else f"<td>{escape(str(value))}</td>"


def _feature(feature: Mapping[str, Any]) -> str:
    unit = f" {feature['unit']}" if feature["unit"] else ""
    caption = (
        f"<b>{escape(feature['title'])}</b><br>{feature['days']:,} days ({feature['share']:.0%})<br>"
        f"{feature['min']:g} to {feature['max']:g}{escape(unit)}, median {feature['median']:g}"
    )
    ends = (f"{feature['edges'][0]:g}", f"{feature['edges'][-1]:g}{unit}")
    months = list(feature["months"])
    plots = _bars(feature["counts"], ends, "") + _bars(list(feature["months"].values()), (months[0], months[-1]), "m")
    return f"<figure><figcaption>{caption}</figcaption>{plots}</figure>"


def _bars(counts: Sequence[int], ends: tuple[str, str], kind: str) -> str:
    """A bar for each count, with the ends of the axis below."""
    step, top = WIDTH / len(counts), max(counts)
    bars = "".join(
        f'<rect class="{kind}" x="{i * step:.1f}" y="{(HEIGHT - 20) * (1 - count / top):.1f}" width="{step * 0.9:.1f}" '
        f'height="{(HEIGHT - 20) * count / top:.1f}"><title>{count:,}</title></rect>'
        for i, count in enumerate(counts)
        if count
    )
    low, high = (escape(end) for end in ends)
    y = HEIGHT - 6
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">{bars}'
        f'<text x="0" y="{y}">{low}</text><text x="{WIDTH}" y="{y}" text-anchor="end">{high}</text></svg>'
    )
