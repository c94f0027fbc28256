"""A whole import: read, check, sum up by day, and put everything in place at once."""

import datetime as dt
import glob
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from fedhealth.data.files import DataError, replacing, sha256_of
from fedhealth.data.imports.air_quality import read_air_quality
from fedhealth.data.imports.apple_health import read_apple_health
from fedhealth.data.imports.asked import Asked, node_of
from fedhealth.data.imports.assemble import Assembly
from fedhealth.data.imports.columns import read_columns
from fedhealth.data.imports.concepts import fed_features, outcome_concepts, wanted
from fedhealth.data.imports.context import read_context
from fedhealth.data.imports.detect import find_exports
from fedhealth.data.imports.fhir import read_fhir
from fedhealth.data.imports.fitbit import read_fitbit
from fedhealth.data.imports.gathered import Gathered
from fedhealth.data.imports.maps import check_columns, check_names
from fedhealth.data.imports.pseudonyms import Pseudonyms
from fedhealth.data.imports.quality import quality_report
from fedhealth.data.imports.quality_page import quality_page
from fedhealth.data.imports.records import Records
from fedhealth.data.imports.tally import Tally
from fedhealth.data.imports.times import check_zone
from fedhealth.data.reading import UNREADABLE
from fedhealth.study import Feature, Node, Study

Reader = Callable[[Path, Asked], Iterator[pl.DataFrame]]
READERS: Mapping[str, Reader] = {
    "csv": read_columns,
    "parquet": read_columns,
    "air-quality": read_air_quality,
    "apple-health": read_apple_health,
    "fhir": read_fhir,
    "fitbit": read_fitbit,
}
READ = ".import-"  # begins the name of the folder in which readings wait


def import_files(
    study: Study,
    node_name: str,
    paths: Sequence[Path],
    kind: str | None,
    data: Path,
    now: dt.datetime,
    progress: Callable[[int], None] = lambda _: None,
    **told: Any,
) -> dict[str, Any]:
    """Write the node's table below ``data`` from export files, with every reading and a quality report beside it.

    Nothing changes until all are complete.

    Args:
        study: says what the features are.
        node_name: whose table it is.
        paths: files or folders, read together; what they hold of one person is joined.
        kind: one of :data:`READERS`; None to see for each path what it is.
        data: the folder that ``fedhealth train --data`` names.
        now: UTC without a zone; readings after it are dropped.
        progress: told how many bytes were just read.
        told: what files may not say: ``person``, ``city``, ``zone``, ``columns`` (see :class:`Asked`).

    Returns:
        The quality report (JSON-ready).

    Raises:
        DataError: a file cannot be used, none holds a reading for the node, or another import is going on there.
    """
    node = node_of(study, node_name)
    table = data / node.file
    features = fed_features(study, node)
    asked = Asked(study, node, features, wanted(study, features), Tally(), advance=progress, **told)
    check_zone(asked.zone)
    check_names(asked)
    table.parent.mkdir(parents=True, exist_ok=True)
    with _alone(table), tempfile.TemporaryDirectory(dir=table.parent, prefix=READ) as folder:
        parts = Path(folder)
        pseudonym = Pseudonyms(table.parent)
        records = Records(parts, asked, pseudonym, now)
        for file, found in find_exports(paths, kind, asked):
            for batch in READERS[found](file, asked):
                records.add(batch)
        check_columns(asked)
        return _finish(asked, Gathered(parts, asked), table)


@contextmanager
def _alone(table: Path) -> Iterator[None]:
    """Hold the folder of a table, without what an import that was killed has left there."""
    import fcntl

    held = os.open(table.parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"{table.parent}: another import is going on here; wait until it has ended") from None
        for folder in table.parent.glob(f"{READ}*"):
            shutil.rmtree(folder)
        for path in (table, *_beside(table)):
            for part in table.parent.glob(f".{glob.escape(path.name)}.*.part"):
                part.unlink()
        yield
    finally:
        os.close(held)


def _finish(asked: Asked, gathered: Gathered, table: Path) -> dict[str, Any]:
    assembly = Assembly(asked, gathered)
    rows, air, air_now = assembly.table(read_context(asked.study, table))
    if not rows.height:
        raise DataError(_nothing(asked))
    written = _as_written(asked.study, asked.node, rows)
    with ExitStack() as stack:  # leaves in reverse order: the table last
        places = [stack.enter_context(replacing(path)) for path in (table, *_beside(table))]
        _write(written, places[0])
        gathered.write(places[1])
        report = quality_report(asked, rows, table, sha256_of(places[0]), air, air_now, _rows_of(table, asked.study))
        places[2].write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        places[3].write_text(quality_page(report), encoding="utf-8")
    return report


def _nothing(asked: Asked) -> str:
    """Why there is no row: what was looked for, found and dropped."""
    tally = asked.tally
    found = "; ".join(f"{file}: {_counts(counts)}" for file, counts in tally.rows.items()) or "no rows"
    dropped = f"; dropped: {_counts(tally.dropped)}" if tally.dropped else ""
    short = f"; unusable days: {_counts(+tally.unusable)}" if tally.unusable.total() else ""
    wanted = ", ".join(asked.node.features)
    return f"no reading for {asked.node.name}, which observes {wanted}; the files hold {found}{dropped}{short}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in counts.items())


def _as_written(study: Study, node: Node, rows: pl.DataFrame) -> pl.DataFrame:
    """The table as the node's reader expects it: the study's column names and codes."""
    known = {name for name in rows.columns if rows[name].is_not_null().any()}
    anchors = [f for f in study.features if f.anchor and f.name in known and f.name not in node.features]
    own = [f for f in study.features if f.name in node.features]
    heading = [pl.col("who").alias(node.person)] if node.person else []
    city = [pl.col("city")] if "city" in known else []
    features = [_feature_cells(rows, f) for f in (*anchors, *own)]
    outcomes = [_coded(rows[c], study.outcome.codes) for c in outcome_concepts(study) if c in known]
    return rows.sort("who", "date").select(*heading, "date", *city, *features, *outcomes)


def _feature_cells(rows: pl.DataFrame, feature: Feature) -> pl.Expr:
    if feature.name not in rows.columns:
        return pl.lit(None, pl.Float64).alias(feature.column)
    return _coded(rows[feature.name], feature.written, whole=feature.kind != "number").alias(feature.column)


def _coded(values: pl.Series, codes: Mapping[str, float], whole: bool = True) -> pl.Expr:
    """Values as the study's codes write them; numbers where it has none."""
    value = pl.col(values.name)
    if codes:
        texts = {number: text for text, number in reversed(list(codes.items()))}
        return value.replace_strict(texts, default=value.cast(pl.String), return_dtype=pl.String)
    return value.cast(pl.Int64) if whole and (values.drop_nulls() % 1 == 0).all() else value.round(4)


def _write(table: pl.DataFrame, path: Path) -> None:
    if ".parquet" in path.suffixes:
        table.write_parquet(path)
    else:
        table.write_csv(path)


def _rows_of(table: Path, study: Study) -> int | None:
    """The rows of a node's table; None where there is none that can be read."""
    try:
        if ".parquet" in table.suffixes:
            scan = pl.scan_parquet(table, glob=False)
        else:
            scan = pl.scan_csv(table, glob=False, has_header=study.source.header, infer_schema=False)
        return int(scan.select(pl.len()).collect().item())
    except UNREADABLE:
        return None


def _beside(table: Path) -> list[Path]:
    """Readings, report and page of a table, next to it."""
    return [table.with_name(f"{table.stem}.{ending}") for ending in ("records.parquet", "import.json", "import.html")]
