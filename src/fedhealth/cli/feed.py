"""``fedhealth feed``: readings of the synthetic cities, sent to the API as if they came in now. No person is real."""

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedhealth.cli.errors import refuse

if TYPE_CHECKING:
    import httpx

BATCH = 900
REAL_TIME = 1 / (24 * 60)  # days per minute
WAIT_SECONDS = 120.0
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0)  # seconds before each new attempt


def feed(
    api: Annotated[str, typer.Option(envvar="FEDHEALTH_API", help="Address of the API.")] = "http://127.0.0.1:8000",
    days: Annotated[int, typer.Option(min=0, max=366, help="Days of history to fill in first.")] = 90,
    per_day: Annotated[int, typer.Option(min=1, max=1000, help="Readings per city and day of history.")] = 30,
    speed: Annotated[
        float, typer.Option(min=REAL_TIME, max=1440, help="Simulated days per minute afterwards; default: real time.")
    ] = REAL_TIME,
    rate: Annotated[float, typer.Option(min=0.1, max=60, help="Readings per minute afterwards.")] = 6.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the replayed world.")] = 2026,
    once: Annotated[bool, typer.Option("--once", help="Stop after the history.")] = False,
) -> None:
    """Replay synthetic people and air of the nine cities: history first, then live; Ctrl-C stops it.

    A day is replayed from the same day of the synthetic year, so seasons fit. Started again, it goes on where the
    stored readings end. Above real time, simulated readings run ahead of the calendar.
    """
    import httpx

    try:
        with httpx.Client(base_url=api.rstrip("/"), timeout=30, trust_env=False) as client:
            _wait_until_ready(client)
            reached = _fill_in(client, days, per_day, seed)
            if not once:
                _go_on(client, reached, speed, rate, seed)
    except KeyboardInterrupt:
        typer.echo("Feed stopped")


def _wait_until_ready(client: "httpx.Client") -> None:
    import httpx

    said, deadline = "", time.monotonic() + WAIT_SECONDS
    while True:
        try:
            answer = client.get("/ready")
            reason = "" if answer.is_success else f"it answers {answer.status_code}: {_detail(answer)}"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = f"it does not answer ({error})"
        if not reason:
            return
        if time.monotonic() > deadline:
            refuse(f"the API at {client.base_url} is not ready: {reason}")
        if reason != said:
            typer.echo(f"Waiting for the API at {client.base_url}: {reason}")
            said = reason
        time.sleep(0.5)


def _fill_in(client: "httpx.Client", days: int, per_day: int, seed: int) -> datetime:
    """Send what is missing of the last ``days`` days; the time up to which there are readings."""
    from fedhealth.data.synthetic.replay import replay

    now = datetime.now(UTC)
    newest = _ask(client, "GET", "/cities")["as_of"]
    start = max(now - timedelta(days=days), datetime.fromisoformat(newest)) if newest else now - timedelta(days=days)
    if start >= now:
        return start
    started, sent, batch = time.monotonic(), 0, []
    for reading in replay(seed, start, now, per_day):
        batch.append(reading)
        if len(batch) == BATCH:
            sent += _send(client, batch)
            batch = []
    sent += _send(client, batch) if batch else 0
    took = time.monotonic() - started
    typer.echo(f"Sent {sent:,} synthetic readings from {start:%Y-%m-%d} to {now:%Y-%m-%d} in {took:.1f} s")
    return now


def _go_on(client: "httpx.Client", reached: datetime, speed: float, rate: float, seed: int) -> None:
    """Send readings one by one, at ``rate`` per minute, while simulated time runs at ``speed`` from ``reached``."""
    from fedhealth.data.synthetic.replay import replay

    typer.echo(f"Live: {rate:g} synthetic readings a minute, {speed / REAL_TIME:,.0f} times real time; Ctrl-C stops it")
    per_day = max(round(rate / speed / 9), 1)
    step = timedelta(days=1)
    real = time.monotonic()
    begun = reached
    while True:
        for reading in replay(seed, reached, reached + step, per_day):
            due = (datetime.fromisoformat(reading["time"]) - begun) / step / speed * 60 + real
            time.sleep(max(due - time.monotonic(), 0.0))
            _send(client, [reading])
        reached += step


def _send(client: "httpx.Client", readings: list[dict[str, Any]]) -> int:
    stored: int = _ask(client, "POST", "/readings", {"readings": readings})["stored"]
    return stored


def _ask(client: "httpx.Client", method: str, path: str, body: object = None) -> dict[str, Any]:
    """The API's answer; asked again for about half a minute where it is away.

    Raises:
        typer.Exit: it refuses, or stays away; says why.
    """
    import httpx

    from fedhealth.keys import load_key

    reason = ""
    for pause in (*PAUSES, None):
        try:
            answer = client.request(method, path, json=body, headers={"X-API-Key": load_key() or ""})
            if answer.is_success:
                content: dict[str, Any] = answer.json()
                return content
            reason = f"{answer.status_code}: {_detail(answer)}"
        except httpx.HTTPError as error:
            answer, reason = None, str(error) or type(error).__name__
        if answer is not None and answer.status_code < 500:
            break
        if pause:
            typer.echo(f"{method} {path}: {reason}; again in {pause:g} s", err=True)
            time.sleep(pause)
    hint = "; set FEDHEALTH_API_KEY or FEDHEALTH_API_KEY_FILE to the API's" if reason.startswith("401") else ""
    refuse(f"{method} {str(client.base_url).rstrip('/')}{path} failed: {reason}{hint}")


def _detail(answer: "httpx.Response") -> str:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return answer.reason_phrase
    return str(detail[0]["message"]) if isinstance(detail, list) and detail and "message" in detail[0] else str(detail)
