"""How much may be kept of people."""

import os
from typing import Literal, get_args

Retention = Literal["off", "aggregate", "full"]
RETENTIONS: tuple[Retention, ...] = get_args(Retention)  # each keeps more than those before it


def usual_retention() -> Retention:
    """How much is kept at most, of everybody: ``FEDHEALTH_RETENTION``, else ``full``.

    Raises:
        ValueError: the setting is none of off, aggregate and full.
    """
    text = os.environ.get("FEDHEALTH_RETENTION") or "full"
    for retention in RETENTIONS:
        if text == retention:
            return retention
    raise ValueError(f"FEDHEALTH_RETENTION: got {text!r}; expected one of {', '.join(RETENTIONS)}")
