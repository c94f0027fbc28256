"""Read a study from TOML, strictly: an unknown key, unit or range names the file, the key and what was expected."""

import dataclasses
import re
import tomllib
import typing
from collections.abc import Iterable, Mapping
from importlib import resources
from itertools import pairwise
from math import inf
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar

from fedhealth.study.schema import Feature, Node, Outcome, Source, Study, StudyError, Subgroup
from fedhealth.study.units import is_ucum

T = TypeVar("T")
HINTS: dict[type, dict[str, Any]] = {
    cls: typing.get_type_hints(cls) for cls in (Study, Outcome, Feature, Node, Source, Subgroup)
}
DEFAULT_STUDY = "health-risk"
NAME = re.compile(r"\w[\w.-]*", re.ASCII)
BUILTIN = resources.files("fedhealth.study") / "builtin"


def builtin_studies() -> list[str]:
    """Names of the studies that come with FedHealth."""
    return sorted(entry.name.removesuffix(".toml") for entry in BUILTIN.iterdir() if entry.name.endswith(".toml"))


def load_study(name_or_path: str | Path, outcome: str | None = None) -> Study:
    """Load a built-in study by name, or any study by the path of its TOML file, with one outcome in force.

    Raises:
        StudyError: the file is missing or invalid, or has no such outcome.
    """
    text, origin = _read(str(name_or_path))
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"{origin}: not valid TOML: {error}") from None
    study = parse_study(raw, origin)
    try:
        return study.with_outcome(outcome)
    except StudyError as error:
        raise StudyError(f"{origin}: {error}") from None


def _read(name_or_path: str) -> tuple[str, str]:
    if name_or_path in builtin_studies():
        return (BUILTIN / f"{name_or_path}.toml").read_text(encoding="utf-8"), f"{name_or_path}.toml"
    path = Path(name_or_path)
    if not path.is_file():
        known = ", ".join(builtin_studies())
        raise StudyError(f"{name_or_path}: no such study; expected one of {known}, or the path of a TOML file")
    try:
        return path.read_text(encoding="utf-8"), str(path)
    except UnicodeDecodeError as error:
        raise StudyError(f"{path}: not UTF-8 text at byte {error.start}; save it as UTF-8") from None


def study_from_dict(raw: Mapping[str, Any], origin: str) -> Study:
    """Rebuild a study from ``dataclasses.asdict`` (as a bundle holds it), with the same checks."""
    renamed = {"features": "feature", "nodes": "node", "outcomes": "outcome", "subgroups": "subgroup"}
    return parse_study({renamed.get(key, key): value for key, value in raw.items()}, origin)


def parse_study(raw: Mapping[str, Any], origin: str) -> Study:
    """Build a study from parsed TOML: its ``[[feature]]``, ``[[node]]``, ... tables and the top keys.

    Raises:
        StudyError: names ``origin``, the key and what was expected.
    """
    top = dict(raw)
    plural = next((key for key in ("features", "nodes", "outcomes", "subgroups") if key in top), None)
    if plural:
        raise StudyError(f"{origin}: unknown key {plural!r}; expected [[{plural[:-1]}]] tables")
    features = tuple(_feature(r, f"{origin}: {_label('feature', i, r)}") for i, r in _tables(top, "feature", origin))
    nodes = tuple(_build(Node, r, f"{origin}: {_label('node', i, r)}") for i, r in _tables(top, "node", origin))
    outcomes = tuple(_outcome(r, f"{origin}: {_label('outcome', i, r)}") for i, r in _tables(top, "outcome", origin))
    cuts = _tables(top, "subgroup", origin, needed=False)
    subgroups = tuple(_build(Subgroup, r, f"{origin}: subgroup {r.get('feature', i + 1)!r}") for i, r in cuts)
    source = _build(
        Source, _instance(top.pop("source", {}), (Mapping,), f"{origin}: key 'source'"), f"{origin}: [source]"
    )
    parts = {"features": features, "nodes": nodes, "outcomes": outcomes, "subgroups": subgroups, "source": source}
    study = _build(Study, {**top, **parts}, origin)
    _check_names(study, origin)
    for subgroup in study.subgroups:
        _check_subgroup(study, subgroup, f"{origin}: subgroup {subgroup.feature!r}")
    return study


def _label(kind: str, position: int, raw: Mapping[str, Any]) -> str:
    return f"{kind} {raw.get('name', position + 1)!r}"


def _tables(top: dict[str, Any], key: str, origin: str, needed: bool = True) -> Iterable[tuple[int, dict[str, Any]]]:
    tables = top.pop(key, [])
    listed = isinstance(tables, list | tuple) and all(isinstance(t, Mapping) for t in tables)
    if not listed or (needed and not tables):
        raise StudyError(f"{origin}: key {key!r}: expected at least one [[{key}]] table")
    return enumerate(tables)


def _build(cls: type[T], raw: Mapping[str, Any], where: str) -> T:
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = HINTS[cls]
    unknown = sorted(set(raw) - set(fields))
    if unknown:
        raise StudyError(f"{where}: unknown key {unknown[0]!r}; expected one of {', '.join(fields)}")
    required = [n for n, f in fields.items() if f.default is f.default_factory is dataclasses.MISSING]
    absent = [n for n in required if n not in raw]
    if absent:
        raise StudyError(f"{where}: key {absent[0]!r} is missing")
    return cls(**{key: _convert(value, hints[key], f"{where}: key {key!r}") for key, value in raw.items()})


def _convert(value: Any, hint: Any, where: str) -> Any:
    """Check a value against a dataclass field's type, turning lists into tuples and integers into floats."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        if value not in typing.get_args(hint):
            raise StudyError(f"{where}: got {value!r}; expected one of {', '.join(typing.get_args(hint))}")
        return value
    if origin in (UnionType, typing.Union):
        return None if value is None else _convert(value, typing.get_args(hint)[0], where)
    if origin is tuple:
        return tuple(_convert(v, typing.get_args(hint)[0], where) for v in _instance(value, (list, tuple), where))
    if origin is not None and issubclass(origin, Mapping):
        table = _instance(value, (Mapping,), where)
        return {str(k): _convert(v, typing.get_args(hint)[1], f"{where}, {k!r}") for k, v in table.items()}
    if hint is float:
        return float(_instance(value, (int, float), where))
    return _instance(value, (hint,), where)


def _instance(value: Any, types: tuple[type, ...], where: str) -> Any:
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        expected = " or ".join(t.__name__ for t in types)
        raise StudyError(f"{where}: got {value!r} ({type(value).__name__}); expected {expected}")
    return value


def _feature(raw: Mapping[str, Any], where: str) -> Feature:
    filled = dict(raw)
    if filled.get("kind") == "category" and isinstance(filled.get("levels"), list | tuple):
        filled["high"] = float(max(len(filled["levels"]) - 1, 0))
    feature = _build(Feature, filled, where)
    if not is_ucum(feature.unit):
        raise StudyError(
            f"{where}: key 'unit': got {feature.unit!r}; expected a UCUM unit such as '/min', '%', 'ug/m3'"
        )
    if feature.kind == "flag" and (feature.low, feature.high) != (0.0, 1.0):
        raise StudyError(f"{where}: keys 'low', 'high': a flag is 0 or 1; expected neither")
    if feature.kind == "number" and not ("low" in raw and "high" in raw and -inf < feature.low < feature.high < inf):
        raise StudyError(
            f"{where}: keys 'low', 'high': got {raw.get('low')} and {raw.get('high')}; expected low < high for a number"
        )
    if feature.kind == "category" and len(set(feature.levels)) < max(len(feature.levels), 2):
        raise StudyError(f"{where}: key 'levels': expected at least two levels, all different, for a category")
    if feature.scale == "log" and feature.low <= 0:
        raise StudyError(f"{where}: key 'low': got {feature.low:g}; expected above 0 on a log scale")
    if feature.example is not None and not feature.low <= feature.example <= feature.high:
        raise StudyError(f"{where}: key 'example': got {feature.example:g}; expected {feature.allowed}")
    return dataclasses.replace(feature, column=feature.column or feature.name)


def _outcome(raw: Mapping[str, Any], where: str) -> Outcome:
    outcome = _build(Outcome, raw, where)
    if not 0 < outcome.threshold < 1:
        raise StudyError(f"{where}: key 'threshold': got {outcome.threshold:g}; expected between 0 and 1")
    if outcome.window_days < 0:
        raise StudyError(f"{where}: key 'window_days': got {outcome.window_days}; expected 0 or more")
    return dataclasses.replace(outcome, columns=outcome.columns or (outcome.name,))


def _check_names(study: Study, origin: str) -> None:
    _check_name(study.name, f"{origin}: key 'name'")
    for kind, entries in (("feature", study.features), ("node", study.nodes), ("outcome", study.outcomes)):
        names = [entry.name for entry in entries]
        for name in names:
            _check_name(name, f"{origin}: {kind} {name!r}: key 'name'")
        twice = next((n for n in names if names.count(n) > 1), None)
        if twice:
            raise StudyError(f"{origin}: {kind} {twice!r} is defined twice")
    for node in study.nodes:
        _check_node(study, node, f"{origin}: node {node.name!r}")
    for outcome in study.outcomes:
        stray = next((f for f in outcome.leaks if f not in study.names), None)
        if stray:
            raise StudyError(f"{origin}: outcome {outcome.name!r}: key 'leaks': got {stray!r}; expected study features")
        blind = next((n.name for n in study.nodes if set(n.features) <= set(outcome.leaks)), None)
        if blind:
            raise StudyError(f"{origin}: outcome {outcome.name!r}: key 'leaks': leaves node {blind!r} without features")


def _check_name(name: str, where: str) -> None:
    if not NAME.fullmatch(name):
        raise StudyError(f"{where}: got {name!r}; expected letters, digits, '_', '-' or '.', a letter or digit first")


def _check_node(study: Study, node: Node, where: str) -> None:
    stray = next((f for f in node.features if f not in study.names), None)
    if stray or not node.features:
        raise StudyError(f"{where}: key 'features': got {stray!r}; expected study features")
    if study.source.kind == "tables" and not node.file:
        raise StudyError(f"{where}: key 'file' is missing; expected the node's table below the data folder")
    if Path(node.file).is_absolute() or ".." in Path(node.file).parts:
        raise StudyError(f"{where}: key 'file': got {node.file!r}; expected a path below the data folder")
    if any(row < 0 for row in node.held_out):
        raise StudyError(f"{where}: key 'held_out': got {min(node.held_out)}; expected row numbers from 0")


def _check_subgroup(study: Study, subgroup: Subgroup, where: str) -> None:
    if subgroup.feature not in study.names:
        raise StudyError(f"{where}: key 'feature': got {subgroup.feature!r}; expected a study feature")
    if [s.feature for s in study.subgroups].count(subgroup.feature) > 1:
        raise StudyError(f"{where} is defined twice")
    feature, edges = study.features[study.index(subgroup.feature)], subgroup.edges
    if feature.kind != "number" and edges:
        raise StudyError(f"{where}: key 'edges': a {feature.kind} is told apart by its levels; expected none")
    bounded = (feature.low, *edges, feature.high)
    if feature.kind == "number" and not (edges and all(low < high for low, high in pairwise(bounded))):
        expected = f"rising numbers between {feature.low:g} and {feature.high:g}"
        raise StudyError(f"{where}: key 'edges': got {list(edges)}; expected {expected}")
