"""Everything a reader sees: what is told to a person (:mod:`fedhealth.study.advice`), and ``texts_en.toml`` here."""

import re
from importlib import resources

from fedhealth.study.advice import texts

FOLDER = resources.files("fedhealth.dashboards")
_TEXTS = texts.Texts(texts.FOLDER, FOLDER)
catalogue, say, find, listed = _TEXTS.catalogue, _TEXTS.say, _TEXTS.find, _TEXTS.listed
MARKS = re.compile(r"[\\`*\[\]<>~$&#|]|(?<!\w)_|_(?!\w)")  # what Markdown reads as more than itself
# What becomes a link, a sign or a colour even so: an invisible word joiner goes after it.
STARTS = re.compile(r":(?=\S)|@(?=\S)|\bwww(?=\.)", re.IGNORECASE)


def plain(text: object) -> str:
    """Words from outside for a place that reads Markdown: on one line, with no link, picture or emphasis in them."""
    return STARTS.sub("\\g<0>\u2060", MARKS.sub(r"\\\g<0>", " ".join(str(text).split())))
