"""How much may be kept of people, and for how long."""

import os
from typing import Literal, get_args

from fedhealth.monitoring.settings import SettingError

Retention = Literal["off", "aggregate", "full"]
TWO_YEARS = 732  # days: the longest look compares 366 of them with the 366 before
RETENTIONS: tuple[Retention, ...] = get_args(Retention)  # each keeps more than those before it


def usual_retention() -> Retention:
    """How much is kept at most, of everybody: ``FEDHEALTH_RETENTION``, else ``full``.

    Raises:
        SettingError: the setting is none of off, aggregate and full.
    """
    text = os.environ.get("FEDHEALTH_RETENTION") or "full"
    for retention in RETENTIONS:
        if text == retention:
            return retention
    raise SettingError(f"FEDHEALTH_RETENTION: got {text!r}; expected one of {', '.join(RETENTIONS)}")


def days_kept() -> int:
    """For how many days rows are kept: ``FEDHEALTH_KEEP_DAYS``, else two years.

    Raises:
        SettingError: the setting is not a whole number from 1.
    """
    text = os.environ.get("FEDHEALTH_KEEP_DAYS") or str(TWO_YEARS)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 36_500):
        raise SettingError(f"FEDHEALTH_KEEP_DAYS: got {text!r}; expected a whole number of days from 1 to 36500")
    return int(text)
