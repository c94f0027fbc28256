"""Words from catalogues: ``texts_en.toml`` here holds what is told to a person; a translation is another such file."""

import os
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any


class Texts:
    """The catalogues in some folders, as one; ``FEDHEALTH_LANGUAGE`` chooses the language, English by default."""

    def __init__(self, *folders: Traversable) -> None:
        self.folders = folders
        self.catalogue = cache(self._read)

    def _read(self, language: str) -> dict[str, Any]:
        """All texts in a language, such as ``en``; ValueError if there is none."""
        whole: dict[str, Any] = {}
        for folder in self.folders:
            file = folder / f"texts_{language}.toml"
            if not file.is_file():
                raise ValueError(f"FEDHEALTH_LANGUAGE: got {language!r}; expected en, or a language with a file {file}")
            whole |= tomllib.loads(file.read_text(encoding="utf-8"))
        return whole

    def chosen(self) -> dict[str, Any]:
        """All texts in the language chosen; ValueError if there are none."""
        return self.catalogue(os.environ.get("FEDHEALTH_LANGUAGE") or "en")

    def say(self, key: str, **values: object) -> str:
        """The text under ``section.name`` with its ``{placeholders}`` filled; KeyError names one that is not there."""
        text = self.find(key)
        if text is None:
            raise KeyError(f"the catalogue has no text {key!r}")
        return text.format(**values) if values else text

    def find(self, key: str) -> str | None:
        """The text under a key, or None if the catalogue has none."""
        entry: Any = self.chosen()
        for part in key.split("."):
            if not isinstance(entry, dict) or part not in entry:
                return None
            entry = entry[part]
        return entry if isinstance(entry, str) else None

    def listed(self, words: Sequence[str]) -> str:
        """Words as a list: ``a, b and c``."""
        return self.say("words.and").join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


FOLDER = resources.files("fedhealth.study.advice")
_TEXTS = Texts(FOLDER)
chosen, say, find, listed = _TEXTS.chosen, _TEXTS.say, _TEXTS.find, _TEXTS.listed
