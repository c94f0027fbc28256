"""Where the columns of CSV and Parquet files are, as their operator tells (``--map NAME=COLUMN@UNIT``)."""

from fedhealth.data.files import DataError
from fedhealth.data.imports.asked import Asked
from fedhealth.study import Feature

PERSON, DATE, CITY = "person", "date", "city"


def where(name: str, asked: Asked) -> tuple[str, str]:
    """The column of a name, and the unit that was told with it (``COLUMN@UNIT``)."""
    default = (asked.node.person or "person") if name == PERSON else name
    told = asked.columns.get(name) or asked.columns.get(default) or default
    column, at, unit = told.rpartition("@")
    return (column, unit) if at else (told, "")


def feature_where(feature: Feature, asked: Asked) -> tuple[str, str]:
    """The column of a feature, and its unit if it was told."""
    column, unit = where(feature.name, asked)
    return (feature.column if column == feature.name else column), unit


def used_columns(asked: Asked) -> set[str]:
    """All columns that can be read of a file."""
    others = {where(name, asked)[0] for name in (PERSON, DATE, CITY, *asked.study.outcome.columns)}
    return others | {feature_where(f, asked)[0] for f in asked.features}


def check_names(asked: Asked) -> None:
    """Refuse a map that names what the node has not.

    Raises:
        DataError: such a name, and those that are known.
    """
    known = [PERSON, asked.node.person, DATE, CITY, *(f.name for f in asked.features), *asked.study.outcome.columns]
    for name, told in asked.columns.items():
        if name not in known:
            expected = ", ".join(dict.fromkeys(filter(None, known)))
            raise DataError(f"--map {name}={told}: {asked.node.name} has no {name!r}; expected one of {expected}")


def check_columns(asked: Asked) -> None:
    """Refuse a map that names a column which is in none of the files that were read.

    Raises:
        DataError: such a column.
    """
    of_features = {f.name: feature_where(f, asked)[0] for f in asked.features}
    for name, told in asked.columns.items():
        column = of_features.get(name) or where(name, asked)[0]
        if column not in asked.columns_found:
            raise DataError(f"--map {name}={told}: no CSV or Parquet file among these has a column {column!r}")
