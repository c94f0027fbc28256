"""Everything a reader sees, from one catalogue: ``texts_en.toml``. A translation is another such file."""

import os
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

FOLDER = resources.files("fedhealth.dashboards")


@cache
def catalogue(language: str) -> dict[str, Any]:
    """The catalogue of a language, such as ``en``; FileNotFoundError if there is none."""
    return tomllib.loads((FOLDER / f"texts_{language}.toml").read_text(encoding="utf-8"))


def say(key: str, **values: object) -> str:
    """The text under ``section.name`` with its ``{placeholders}`` filled; KeyError names a key that is not there."""
    text = find(key)
    if text is None:
        raise KeyError(f"the catalogue has no text {key!r}")
    return text.format(**values) if values else text


def find(key: str) -> str | None:
    """The text under a key, or None if the catalogue has none."""
    entry: Any = catalogue(os.environ.get("FEDHEALTH_LANGUAGE") or "en")
    for part in key.split("."):
        if not isinstance(entry, dict) or part not in entry:
            return None
        entry = entry[part]
    return entry if isinstance(entry, str) else None


def listed(words: Sequence[str]) -> str:
    """Words as a list: ``a, b and c``."""
    return say("page.and").join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
