"""Everything a reader sees: what is told to a person (:mod:`fedhealth.study.advice`), and ``texts_en.toml`` here."""

from importlib import resources

from fedhealth.study.advice import texts

FOLDER = resources.files("fedhealth.dashboards")
_TEXTS = texts.Texts(texts.FOLDER, FOLDER)
catalogue, say, find, listed = _TEXTS.catalogue, _TEXTS.say, _TEXTS.find, _TEXTS.listed
