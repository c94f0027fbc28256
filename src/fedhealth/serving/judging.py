"""What the gates say of a bundle when the server's own predictor is asked, and publishing what they let through."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from fedhealth.registry import Bundle, BundleError, champion, publish
from fedhealth.registry.gates import Line, judge
from fedhealth.registry.limits import read_limits
from fedhealth.serving.errors import Unavailable
from fedhealth.serving.predictor import Predictor
from fedhealth.serving.schema import PredictionBody

Found = TypeVar("Found")


def examine(bundle: Bundle, folder: Path, models: Path, gates: Path | None = None) -> list[Line]:
    """What every gate says of the bundle in ``folder``, beside which its run left ``report.json``.

    Raises:
        BundleError: there is no report, or the gates' file cannot be used.
    """
    path = folder / "report.json"
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: gates need the report of the run, which cannot be read ({error})") from None

    def golden(one: Bundle) -> float:
        return Predictor(one, PredictionBody(one.study)).golden_difference()

    try:
        return judge(bundle, report, champion(models), read_limits(models, gates), golden)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise BundleError(f"{path}: not the report of a run, as gates need it ({error!r})") from None


def publish_judged(
    folder: Path,
    models: Path,
    action: str,
    reason: str,
    lines: Sequence[Line],
    override: str = "",
    by: str = "",
    instead_of: str | None = None,
) -> Bundle:
    """Publish what the gates let through or ``override`` does; the history says what they found, and ``by`` whom.

    Raises:
        BundleError: see :func:`fedhealth.registry.publish`.
    """
    noted = evidence(lines, folder, by)
    if override and any(line.passed is False for line in lines):
        noted["override"] = override
    return publish(folder, models, action, reason, noted, instead_of)


def evidence(lines: Sequence[Line], folder: Path, by: str = "") -> dict[str, Any]:
    """What the history keeps of a judgement: every gate's line, the run that it judged, who asked for it."""
    return {"run": folder.name, "gates": [asdict(line) for line in lines], **({"by": by} if by else {})}


def history_or_unavailable(look: Callable[[], Found]) -> Found:
    """What ``look`` finds with the help of the history; Unavailable, and what to do, where that cannot be read."""
    try:
        return look()
    except BundleError:
        raise Unavailable("the history of models cannot be read; fedhealth models history names the line") from None
