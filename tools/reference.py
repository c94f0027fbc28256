"""The site's pages under ``reference/``, written from the code whenever MkDocs builds it (``hooks`` in mkdocs.yml)."""

import ast
import dataclasses
import inspect
import re
import tomllib
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import click
import typer
from typer.main import get_command

from fedhealth.cli import app
from fedhealth.cli.client import client
from fedhealth.cli.data import generate
from fedhealth.cli.flower import server
from fedhealth.serving import create_app
from fedhealth.serving.access import NEEDS
from fedhealth.study import builtin_studies, load_study
from fedhealth.study.schema import Feature, Node, Outcome, Source, Study, Subgroup

ROOT = Path(__file__).parents[1]
SETTINGS = ROOT / "tools" / "settings.toml"
CODE = ("app", "dashboard", "data", "fl", "src")
DOORS: Mapping[str, Callable[..., None]] = {
    "python data/generate_synthetic_data.py": generate,
    "python fl/server.py": server,
    "python fl/client_node1.py": client("node_1"),
}
TABLES = {"": Study, "[source]": Source, "[[outcome]]": Outcome, "[[feature]]": Feature, "[[node]]": Node}
TABLES["[[subgroup]]"] = Subgroup
Json = Mapping[str, Any]


def on_files(files: Any, config: Any) -> Any:
    """Add the pages; MkDocs calls this."""
    from mkdocs.structure.files import File

    for name, write in PAGES.items():
        files.append(File.generated(config, f"reference/{name}.md", content=write()))
    return files


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; a bar inside a cell does not end it."""
    titles = list(head)
    lines = [titles, ["---"] * len(titles), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


# The command line


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with the words that call it, the doors in the top folder too."""
    yield from _below("fedhealth", get_command(app))
    for name, function in DOORS.items():
        door = typer.Typer()
        door.command()(function)
        yield name, get_command(door)


def _below(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
    else:
        for word, one in inner.items():
            yield from _below(f"{name} {word}", one)


def command_line() -> str:
    """All commands as ``--help`` has them: what they do, arguments, options, defaults, variables."""
    parts = ["# Command line\n\nEvery command answers `--help`. `fedhealth --version` prints the version.\n\n"]
    for name, command in commands():
        rows = [_parameter(command, one) for one in command.params]
        shown = table(("option", "meaning", "default"), rows) if rows else ""
        parts.append(f"## `{name}`\n\n{_prose(command.help)}\n\n{shown}")
    return "".join(parts)


def _parameter(command: click.Command, one: click.Parameter) -> tuple[str, str, str]:
    value = one.make_metavar(click.Context(command)).replace(" RANGE", "")
    value = re.sub(r"^\[([^][]*)\]$", r"\1", value).replace("|", ", ")
    if isinstance(one, click.Option):
        names = ", ".join(f"`{name}`" for name in one.opts)
        shown = names if one.is_flag else f"{names} {value}"
    else:
        shown = f"`{value}`"
    variable = f" Or `{one.envvar}`." if one.envvar else ""
    return shown, f"{getattr(one, 'help', None) or ''}{variable}", _default(one)


def _default(one: click.Parameter) -> str:
    if one.required:
        return "needed"
    if one.default in (None, "") or one.default is False or callable(one.default):
        return ""
    return f"`{getattr(one.default, 'value', one.default)}`"


def _prose(text: str | None) -> str:
    """A docstring as Markdown: its double backticks and roles become single backticks."""
    plain = re.sub(r":\w+:`~?\.?(\w+)`", r"`\1`", inspect.cleandoc(text or ""))
    return plain.replace("``", "`")


# Settings


def settings() -> str:
    """All environment variables by what they are for, with default and meaning.

    Raises:
        SystemExit: one that the code reads is not described, or the other way round.
    """
    groups = tomllib.loads(SETTINGS.read_text(encoding="utf-8"))
    described = {name for group in groups.values() for name in group}
    if apart := described ^ variables():
        raise SystemExit(f"{SETTINGS}: described or read, but not both: {', '.join(sorted(apart))}")
    parts = ["# Settings\n\nEnvironment variables. Options of [commands](cli.md) go first where there are both.\n\n"]
    for title, group in groups.items():
        rows = [(f"`{name}`", meaning, default) for name, (default, meaning) in group.items()]
        parts.append(f"## {title}\n\n{table(('variable', 'meaning', 'default'), rows)}")
    return "".join(parts)


@cache
def variables() -> set[str]:
    """Names of the environment variables that the code reads, found in its syntax trees."""
    of_tests = {name for name in _read_below("tests") if name.startswith("FEDHEALTH_")}
    return of_tests.union(*(_read_below(folder) for folder in CODE))


def _read_below(folder: str) -> set[str]:
    texts = (file.read_text(encoding="utf-8") for file in (ROOT / folder).rglob("*.py"))
    return {name for text in texts if re.search("environ|envvar", text) for name in _read_in(ast.parse(text))}


def _read_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "envvar":
            yield from _text(node.value)
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            yield from _text(node.slice)
        elif isinstance(node, ast.Call) and node.args:
            called = ast.unparse(node.func)
            ours = any(text.startswith("FEDHEALTH_") for text in _text(node.args[0])) and called == "_setting"
            if ours or called in ("os.environ.get", "os.environ.setdefault", "os.getenv"):
                yield from _text(node.args[0])


def _text(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


# Studies


def study_format() -> str:
    """The keys of a study's file, as the loader reads them, and the features of the studies that come along."""
    parts = ["# Study format\n\nA study is one TOML file; [Studies](../studies.md) shows one in full.\n\n"]
    for name, cls in TABLES.items():
        parts.append(f"## {f'`{name}`' if name else 'Top of the file'}\n\n{_prose(cls.__doc__)}\n\n{_keys(cls)}")
    for name in builtin_studies():
        study = load_study(name)
        parts.append(f"## Features of `{name}`\n\n{study.title}.\n\n{_features(study)}")
    return "".join(parts)


def _keys(cls: Any) -> str:
    hints = typing.get_type_hints(cls)
    of_tables = {"features", "nodes", "outcomes", "subgroups", "source"} if cls is Study else set()
    fields = [field for field in dataclasses.fields(cls) if field.name not in of_tables]
    return table(("key", "value", "default"), [(f"`{f.name}`", _kind(hints[f.name]), _usual(f)) for f in fields])


def _kind(hint: Any) -> str:
    """A type in words that TOML has."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in inner)
    if origin is tuple:
        return f"list of {_kind(inner[0])}s"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"table of {_kind(inner[1])}s"
    if origin is not None:  # or nothing
        return _kind(inner[0])
    return {str: "text", float: "number", int: "whole number", bool: "true, false"}[hint]


def _usual(field: "dataclasses.Field[Any]") -> str:
    if field.default is not dataclasses.MISSING:
        empty = field.default in ((), "", None)
        return "" if empty else f"`{str(field.default).lower() if field.default in (True, False) else field.default}`"
    return "needed" if field.default_factory is dataclasses.MISSING else ""


def _features(study: Study) -> str:
    rows = []
    for feature in study.features:
        nodes = ", ".join(node.name for node in study.nodes if feature.name in node.features)
        told = (feature.title, feature.modality, feature.kind, feature.allowed, feature.loinc or "")
        rows.append((f"`{feature.name}`", *told, "yes" if feature.changeable else "", nodes or "any (anchor)"))
    return table(("feature", "title", "modality", "kind", "allowed", "LOINC", "changeable", "nodes"), rows)


# The API


def api() -> str:
    """Every route: what it does, who may ask, what goes in, what comes back; then the bodies by name."""
    document = create_app(ROOT / "models").openapi()
    parts = [
        "# API routes\n\nFrom the description that the API gives of itself at `/openapi.json`. "
        "[Roles, limits and what is kept](../api.md) hold for all routes.\n\n"
    ]
    for path, methods in document["paths"].items():
        parts += [_route(method.upper(), path, route) for method, route in methods.items()]
    parts.append("## Bodies\n\n")
    parts += [_body(name, schema) for name, schema in sorted(document["components"]["schemas"].items())]
    return "".join(parts)


def _route(method: str, path: str, route: Json) -> str:
    role = NEEDS[method, path]
    given = [
        (f"`{one['name']}`", _json(one["schema"]), one["in"], one.get("description", ""))
        for one in route.get("parameters", [])
    ]
    answers = [(f"`{status}`", _content(one), _prose(one["description"])) for status, one in route["responses"].items()]
    asked = table(("parameter", "value", "in", "meaning"), given) if given else ""
    body = f"Body: {_content(route['requestBody'])}.\n\n" if "requestBody" in route else ""
    shown = table(("answer", "body", "meaning"), sorted(answers))
    who = f"role {role}" if role else "anybody"
    return f"## `{method} {path}`\n\n{_prose(route['description'])} *For: {who}.*\n\n{asked}{body}{shown}"


def _content(body: Json) -> str:
    for kind, content in body.get("content", {}).items():
        return _json(content["schema"]) if "schema" in content and kind == "application/json" else kind
    return ""


def _body(name: str, schema: Json) -> str:
    needed = schema.get("required", ())
    rows = [
        (f"`{key}`" + ("" if key in needed else " *"), _json(one), _prose(one.get("description", "")))
        for key, one in schema.get("properties", {}).items()
    ]
    about = f"{_prose(schema['description'])}\n\n" if "description" in schema else ""
    return f"### {name}\n\n{about}{table(('key', 'value', 'meaning'), rows) if rows else ''}"


def _json(schema: Json) -> str:
    """The kind of a value, with its range; names of bodies are links."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(_json(one) for one in schema[several]))
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_json(schema.get('items', {}))}"
    if schema.get("type") == "object" and "properties" in schema:
        inner = list(schema["properties"].items())
        shown = ", ".join(f"`{key}`: {_json(one)}" for key, one in inner[:2])
        return f"object with {shown}" + (f" and so on, {len(inner)} keys" if len(inner) > 2 else "")
    low, high = (schema.get(key, "") for key in ("minimum", "maximum"))
    bounds = f" {low} to {high}" if low != "" and high != "" else f" from {low}" if low != "" else ""
    kind = schema.get("type", "any")
    return {"null": "nothing", "string": schema.get("format", "text")}.get(kind, kind) + bounds


PAGES: Mapping[str, Callable[[], str]] = {
    "cli": command_line,
    "settings": settings,
    "study": study_format,
    "api": api,
}
