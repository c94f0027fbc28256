"""What the gates say of a bundle when the server's own predictor is asked, and publishing what they let through."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from fedhealth.registry import Bundle, BundleError, champion, publish
from fedhealth.registry.bundle import REPORT
from fedhealth.registry.gates import Line, judge
from fedhealth.registry.limits import read_limits
from fedhealth.registry.publish import NOBODY
from fedhealth.serving.errors import Unavailable
from fedhealth.serving.predictor import Predictor
from fedhealth.serving.schema import PredictionBody

Found = TypeVar("Found")


@dataclass(frozen=True)
class Judgement:
    """What every gate said (``lines``) of the bundle of this ``hash`` beside ``champion``, the version served then."""

    lines: list[Line]
    hash: str
    champion: str

    @property
    def refused(self) -> list[Line]:
        """The lines that it does not pass."""
        return [line for line in self.lines if line.passed is False]


def examine(bundle: Bundle, folder: Path, models: Path, gates: Path | None = None) -> Judgement:
    """What every gate says of the bundle in ``folder``, beside which its run left ``report.json``.

    Raises:
        BundleError: there is no report, or the champion or the gates' file cannot be used.
    """
    path = folder / REPORT
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: gates need the report of the run, which cannot be read ({error})") from None

    def golden(one: Bundle) -> float:
        return Predictor(one, PredictionBody(one.study)).golden_difference()

    served = champion(models)
    try:
        lines = judge(bundle, report, served, read_limits(models, gates), golden)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise BundleError(f"{path}: not the report of a run, as gates need it ({error!r})") from None
    return Judgement(lines, bundle.hash, served.version if served else NOBODY)


def publish_judged(
    folder: Path,
    models: Path,
    action: str,
    reason: str,
    judgement: Judgement,
    override: str = "",
    by: str = "",
) -> Bundle:
    """Publish what the gates let through or ``override`` does; the history says what they found, and ``by`` whom.

    Raises:
        BundleError: see :func:`fedhealth.registry.publish`; ``folder`` or the champion changed since they were judged.
    """
    noted = evidence(judgement, folder, by)
    if override and judgement.refused:
        noted["override"] = override
    return publish(folder, models, action, reason, noted, judgement.champion, judgement.hash)


def evidence(judgement: Judgement, folder: Path, by: str = "") -> dict[str, Any]:
    """What the history keeps of a judgement: every gate's line, the run that it judged, who asked for it."""
    return {"run": folder.name, "gates": [asdict(line) for line in judgement.lines], **({"by": by} if by else {})}


def models_or_unavailable(look: Callable[[], Found]) -> Found:
    """What ``look`` finds in the folder of models; Unavailable, and what to do, where that cannot be used."""
    try:
        return look()
    except BundleError:
        raise Unavailable("the champion or its history cannot be used; fedhealth models list says why") from None
