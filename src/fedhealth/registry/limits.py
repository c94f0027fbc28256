"""The gates' limits: those that come along, and an installation's own in a TOML file of the same keys."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from fedhealth.registry.bundle import BundleError

Limits = Mapping[str, Mapping[str, float]]
FILE = "gates.toml"


def read_limits(models: Path, given: Path | None = None) -> Limits:
    """The limits in force: built in, then what ``given`` changes, or ``gates.toml`` in ``models`` if that is None.

    Raises:
        BundleError: the file is absent or no TOML, has an unknown key, or a limit that is no number from 0.
    """
    builtin: dict[str, dict[str, float]] = tomllib.loads((files("fedhealth.registry") / FILE).read_text("utf-8"))
    path = given or models / FILE
    if given is None and not path.is_file():
        return builtin
    own = _read(path)
    for table, limits in own.items():
        _check(path, builtin, table, limits)
    return {table: {**limits, **own.get(table, {})} for table, limits in builtin.items()}


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"{path}: not valid TOML: {error}") from None


def _check(path: Path, builtin: Limits, table: str, limits: Any) -> None:
    if table not in builtin or not isinstance(limits, dict):
        raise BundleError(f"{path}: unknown table {table!r}; expected {', '.join(f'[{name}]' for name in builtin)}")
    for name, value in limits.items():
        if name not in builtin[table]:
            raise BundleError(f"{path}: [{table}] {name}: unknown key; expected {', '.join(builtin[table])}")
        if type(value) not in (int, float) or not value >= 0:
            raise BundleError(f"{path}: [{table}] {name}: got {value!r}; expected a number from 0")
