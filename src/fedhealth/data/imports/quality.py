"""The quality report of an import: what was read, kept and dropped, and what the days that came of it look like."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fedhealth.data.imports.asked import Asked
from fedhealth.study import Feature, Outcome

BINS = 24
MOST_VALUES = 8  # of an outcome, to be told one by one


def quality_report(
    asked: Asked,
    rows: pl.DataFrame,
    table: Path,
    sha256: str,
    air: pl.DataFrame,
    air_now: Mapping[str, tuple[str, float]],
    replaced: int | None,
) -> dict[str, Any]:
    """All about an import (JSON-ready).

    Args:
        asked: with the tally of what was read.
        rows: a row a day, columns ``who``, ``date`` and features by name.
        table: where they are written.
        sha256: of that file.
        air: city-days that were imported or pulled, by ``city`` and ``date``.
        air_now: by city, the latest hour and the air quality index of its NowCast.
        replaced: rows of the table that was there before; None if there was none.
    """
    tally = asked.tally
    own = [f.name for f in asked.features if f.name in asked.node.features]
    first, last = rows["date"].min(), rows["date"].max()
    return {
        "study": asked.study.name,
        "node": asked.node.name,
        "table": table.name,
        "sha256": sha256,
        "rows": rows.height,
        "replaced": replaced,
        "people": rows["who"].n_unique() if asked.node.person else 0,
        "first": str(first),
        "last": str(last),
        "files": {file: dict(counts) for file, counts in tally.rows.items()},
        "kept": {name: count for name, count in sorted(tally.kept.items()) if count},
        "dropped": [
            {"reason": reason, "readings": count, "example": tally.examples[reason]}
            for reason, count in tally.dropped.most_common()
        ],
        "unusable": dict((+tally.unusable).most_common()),
        "converted": dict(tally.converted.most_common()),
        "clocks": {"offsets": dict(tally.offsets.most_common()), "zone_of_the_others": asked.zone},
        "gaps": _gaps(rows),
        "air_now": {city: {"hour": hour, "aqi": index} for city, (hour, index) in air_now.items()},
        "context": _context(rows, air) if air.height and asked.node.person else None,
        "features": {f.name: _feature(f, rows) for f in asked.features if f.name in _known(asked, rows)},
        "outcome": _outcome(asked.study.outcome, rows),
        "missing": [name for name in (*own, *asked.study.outcome.columns) if name not in rows.columns],
    }


def _outcome(outcome: Outcome, rows: pl.DataFrame) -> dict[str, Any] | None:
    """For how many rows it is known and happened, and what its columns hold; None where they hold nothing."""
    held = [name for name in outcome.columns if name in rows.columns and rows[name].is_not_null().any()]
    if not held:
        return None
    known = rows.select(held).drop_nulls() if len(held) == len(outcome.columns) else rows.select(held).clear()
    happened = known.select(pl.any_horizontal(pl.all() > outcome.positive_above)).to_series().sum()
    return {
        "title": outcome.title,
        "rows": known.height,
        "happened": happened,
        "above": outcome.positive_above,
        "values": {name: _values(rows[name].drop_nulls()) for name in held},
    }


def _values(values: pl.Series) -> dict[str, int]:
    """How often each value is there; where there are many, how many lie between the lowest and the highest."""
    counts = values.value_counts().sort(values.name)
    if counts.height > MOST_VALUES:
        return {f"{counts[0, 0]:g} to {counts[-1, 0]:g}": values.len()}
    return {f"{value:.12g}": count for value, count in counts.iter_rows()}


def _known(asked: Asked, rows: pl.DataFrame) -> set[str]:
    return {f.name for f in asked.features if f.name in rows.columns and rows[f.name].is_not_null().any()}


def _context(rows: pl.DataFrame, air: pl.DataFrame) -> dict[str, Any]:
    """For how many rows the air of city and day is known, and of which cities it is not."""
    joined = rows.join(air.select("city", "date"), on=["city", "date"], how="semi")
    unknown = sorted(set(rows["city"].drop_nulls()) - set(air["city"]))
    return {"rows": joined.height, "unknown_cities": unknown, "without_city": rows["city"].null_count()}


def _gaps(rows: pl.DataFrame) -> dict[str, int]:
    """Days without a row between the first and the last of each person or place."""
    days = rows.select("who", "date").unique().sort("who", "date")
    away = days.select((pl.col("date").diff().over("who").dt.total_days() - 1).alias("gap"))["gap"].drop_nulls()
    gaps = away.filter(away > 0)
    longest: Any = gaps.max() or 0
    return {"gaps": gaps.len(), "days_missing": int(gaps.sum()), "longest": int(longest)}


def _feature(feature: Feature, rows: pl.DataFrame) -> dict[str, Any]:
    values = rows[feature.name].drop_nulls()
    counts, edges = np.histogram(values.to_numpy(), bins=BINS)
    dated = rows.filter(pl.col(feature.name).is_not_null()).group_by(month=pl.col("date").dt.month_start()).len()
    months = dated.sort("month").upsample("month", every="1mo").with_columns(pl.col("len").fill_null(0))
    return {
        "title": feature.title,
        "unit": feature.unit if feature.kind == "number" else "",
        "days": values.len(),
        "share": round(values.len() / rows.height, 4),
        "min": round(float(values.min()), 4),  # type: ignore[arg-type]
        "median": round(float(values.median()), 4),  # type: ignore[arg-type]
        "max": round(float(values.max()), 4),  # type: ignore[arg-type]
        "counts": counts.tolist(),
        "edges": np.round(edges, 4).tolist(),
        "months": dict(months.select(pl.col("month").dt.strftime("%Y-%m"), "len").iter_rows()),
    }
