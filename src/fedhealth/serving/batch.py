"""Many people at once: rows or columns of JSON in, risks out, without one Python object a person."""

import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import msgspec
import numpy as np

from fedhealth.model.design import Floats
from fedhealth.model.missing import Mask
from fedhealth.serving.errors import Refused, expected_of, problem
from fedhealth.serving.schema import PredictionBody, quickly_accepted
from fedhealth.study import Feature

MOST_ROWS = 100_000
MAX_BATCH_BODY = 64 * 1024 * 1024  # bytes
SURELY_FEW = 1024 * 1024  # bytes: whatever they hold, it takes little memory
PATH = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
SHAPE = 'a JSON object with "columns" (a list of values for each feature) or "rows" (a list of objects)'


@dataclass(frozen=True, eq=False)
class BatchBody:
    """What a client may send of many people: one list per feature, or one object per person."""

    body: PredictionBody

    def parse(self, raw: bytes) -> tuple[tuple[str, ...], Floats]:
        """Names of the ``s`` features that are given, in the study's order, and values ``(n, s)``, NaN where missing.

        Raises:
            Refused: the body is not JSON, of another form, too long, or a value is of another type or out of range.
        """
        if len(raw) > SURELY_FEW and any(raw.count(mark) > most for mark, most in self._most.items()):
            raise Refused([problem(None, None, "got too many rows", f"1 to {MOST_ROWS} rows")])
        try:
            found = self._decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            _refuse(error, raw, self.body)
        if (found.columns is None) == (found.rows is None):
            raise Refused([problem(None, None, "got both or neither of columns and rows", SHAPE)])
        columns = self._of_rows(found.rows) if found.columns is None else msgspec.structs.astuple(found.columns)
        return self._table(columns, "columns" if found.rows is None else "rows")

    @cached_property
    def _most(self) -> dict[bytes, int]:
        """How often a body within the limits can have each of these; one that has more is not even decoded."""
        features = self.body.study.features

        def in_levels(mark: str) -> int:
            return sum(max((level.count(mark) for level in feature.levels), default=0) for feature in features)

        of_row = {",": len(features) + 1, "{": 1, "[": 1}
        return {mark.encode(): MOST_ROWS * (usual + in_levels(mark)) + 2 for mark, usual in of_row.items()}

    @cached_property
    def _decoder(self) -> msgspec.json.Decoder[Any]:
        features = self.body.study.features
        rename = {f"field_{i}": feature.name for i, feature in enumerate(features)}
        values = [(f"field_{i}", _written(f), None) for i, f in enumerate(features)]
        lists = [(f"field_{i}", list.__class_getitem__(_written(f)) | None, None) for i, f in enumerate(features)]
        kept: dict[str, Any] = {"rename": rename, "forbid_unknown_fields": True, "gc": False}
        row, columns = msgspec.defstruct("Row", values, **kept), msgspec.defstruct("Columns", lists, **kept)
        body = [("columns", columns | None, None), ("rows", list[row] | None, None)]  # type: ignore[valid-type]
        return msgspec.json.Decoder(msgspec.defstruct("Batch", body, forbid_unknown_fields=True))

    def _of_rows(self, rows: Sequence[Any]) -> list[Sequence[Any] | None]:
        astuple = msgspec.structs.astuple
        columns = zip(*map(astuple, rows), strict=True) if rows else iter([()])
        return [None if all(value is None for value in column) else column for column in columns]

    def _table(self, columns: Sequence[Sequence[Any] | None], kind: str) -> tuple[tuple[str, ...], Floats]:
        given = [
            (f, column) for f, column in zip(self.body.study.features, columns, strict=False) if column is not None
        ]
        lengths = {len(column) for _, column in given}
        if len(lengths) != 1 or not 1 <= lengths.pop() <= MOST_ROWS:
            got = ", ".join(f"{f.name}: {len(column)}" for f, column in given) or "no values"
            raise Refused([problem(kind, got, f"got {got}", f"1 to {MOST_ROWS} rows, as many in every column")])
        table = np.stack([_numbers(feature, column) for feature, column in given])
        wrong = _out_of_range([feature for feature, _ in given], table)
        if wrong.any():
            at, row = np.argwhere(wrong)[0].tolist()
            feature, column = given[at]
            expected = expected_of(self.body.study, feature.name)
            raise Refused([problem(_place(kind, feature.name, row), column[row], f"got {table[at, row]:g}", expected)])
        empty = np.isnan(table).all(axis=0)
        if empty.any():
            row_of_none = f"{kind}[{empty.argmax()}]"
            raise Refused([problem(row_of_none, None, "no feature has a value", "at least one of them")])
        return tuple(feature.name for feature, _ in given), table.T


def _numbers(feature: Feature, column: Sequence[Any]) -> Floats:
    if feature.kind == "category":
        return np.array([feature.values.get(value, math.nan) for value in column])
    return _floats(column)


def _out_of_range(features: Sequence[Feature], table: Floats) -> Mask:
    """Which values of ``table``, shape ``(s, n)``, the features cannot have; missing ones are not meant."""
    low, high = np.array([(feature.low, feature.high) for feature in features]).T[:, :, None]
    wrong = (table < low) | (table > high)
    flags = [feature.kind == "flag" for feature in features]
    wrong[flags] |= (table[flags] > 0) & (table[flags] < 1)
    return np.asarray(wrong)


def _written(feature: Feature) -> Any:
    """What JSON may hold for a feature; the ranges of numbers are checked later, for a whole column at once."""
    if feature.kind == "category":
        return quickly_accepted(feature) | None
    return int | float | bool | None if feature.kind == "flag" else int | float | None


def _floats(column: Sequence[Any]) -> Floats:
    """Numbers fast where all are whole, or all are there; None becomes NaN, what is beyond all floats an infinity."""
    for kind in ("q", "d"):  # whole numbers of 64 bits are packed in half the time
        try:
            return np.frombuffer(struct.pack(f"{len(column)}{kind}", *column), kind).astype(np.float64, copy=False)
        except (struct.error, OverflowError):
            pass
    return np.array([math.nan if value is None else _float(value) for value in column])


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _place(kind: str, name: str, row: int) -> str:
    return f"columns.{name}[{row}]" if kind == "columns" else f"rows[{row}].{name}"


def _refuse(error: Exception, raw: bytes, body: PredictionBody) -> NoReturn:
    """The decoder's complaint in the study's words: which value in which row, what came, what is expected."""
    detail, _, path = str(error).partition(" - at `$")
    if not isinstance(error, msgspec.ValidationError):
        raise Refused([problem(None, None, f"the body is not valid JSON ({detail})", SHAPE)]) from None
    steps = [name or int(place) for name, place in PATH.findall(path.rstrip("`"))]
    field = path.rstrip("`").lstrip(".") or None
    name = next((step for step in steps if step in body.study.names), None)
    expected = expected_of(body.study, str(name)) if name else f"{SHAPE}; features: {', '.join(body.study.names)}"
    raise Refused([problem(field, _at(raw, steps), detail[0].lower() + detail[1:], expected)]) from None


def _at(raw: bytes, steps: Sequence[str | int]) -> Any:
    try:
        found: Any = msgspec.json.decode(raw)
        for step in steps:
            found = found[step]
    except (
        KeyError,
        IndexError,
        TypeError,
        RecursionError,
        msgspec.DecodeError,
        UnicodeDecodeError,
    ):  # the decoder stops at the first thing wrong
        return None
    return found
