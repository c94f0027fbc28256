"""Telling another system of alerts, where ``FEDHEALTH_WEBHOOK`` names an address; at least once, until it says 2xx."""

import logging
import os
from typing import Any

from sqlalchemy import or_, select, update

from fedhealth.monitoring.rules import TITLES
from fedhealth.monitoring.store import Store
from fedhealth.monitoring.tables import Alert

TIMEOUT = 5.0  # seconds
logger = logging.getLogger(__name__)


def webhook() -> str | None:
    """Where to tell; None (the default) for nowhere. It comes from the settings alone, never from a request."""
    return os.environ.get("FEDHEALTH_WEBHOOK") or None


def deliver(store: Store) -> int:
    """Tell of every alert that fired or ended since it was last told; how many were told.

    What cannot be delivered is tried again the next time.
    """
    url = webhook()
    if url is None:
        return 0
    with store.session() as session:
        waiting = [_message(alert) for alert in session.scalars(_untold())]
    for told, message in enumerate(waiting):
        if not _post(url, message):
            return told
        with store.session() as session:
            session.execute(update(Alert).where(Alert.id == message["alert"]).values(told=message["state"]))
    return len(waiting)


def _untold() -> Any:
    fired_now = Alert.ended.is_(None) & Alert.told.is_(None)
    over_now = Alert.ended.is_not(None) & or_(Alert.told.is_(None), Alert.told == "firing")
    return select(Alert).where(Alert.fired.is_not(None), fired_now | over_now).order_by(Alert.id)


def _state(alert: Alert) -> str:
    return "firing" if alert.ended is None else "resolved"


def _message(alert: Alert) -> dict[str, Any]:
    """About a city or the whole, never about a person."""
    return {
        "state": _state(alert),
        "alert": alert.id,
        "city": alert.city or None,
        "rule": alert.rule,
        "title": TITLES[alert.rule],
        "value": alert.value,
        "threshold": alert.threshold,
        "about": alert.about,
        "since": alert.since.isoformat(),
        "ended": alert.ended.isoformat() if alert.ended else None,
    }


def _post(url: str, message: dict[str, Any]) -> bool:
    import httpx

    try:
        httpx.post(url, json=message, timeout=TIMEOUT, follow_redirects=False, trust_env=False).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        logger.warning("the webhook could not be told of alert %s: %s", message["alert"], type(error).__name__)
        return False
    return True
