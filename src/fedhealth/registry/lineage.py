"""From a version back to where it came from: who promoted it on what evidence, which run made it, who took part."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from fedhealth.registry.bundle import REPORT, Bundle, BundleError, load_bundle
from fedhealth.registry.history import history
from fedhealth.registry.signing import load_signed, signer
from fedhealth.registry.standing import SERVED


@dataclass(frozen=True)
class Lineage:
    """The chain behind a version, every link checked.

    Attributes:
        bundle: the version.
        signed_by: the trusted key that signed it; None for one that was never promoted.
        changes: the history's lines about it, oldest first.
        nodes: who took part: name, rows, hash of the policy it had, epsilon spent (None: answers without noise).
    """

    bundle: Bundle
    signed_by: str | None
    changes: tuple[Mapping[str, Any], ...]
    nodes: tuple[Mapping[str, Any], ...]

    @property
    def promotion(self) -> Mapping[str, Any] | None:
        """The last line that made it champion by publishing or promoting; None where there is none."""
        made = [entry for entry in self.changes if entry["action"] in ("publish", "promote")]
        return made[-1] if made else None


def lineage(bundle: Bundle, models: Path) -> Lineage:
    """The lineage of ``bundle``, which is in ``models`` or in a run's folder.

    Raises:
        BundleError: a link does not hold: the history is broken or cut short, the bundle in ``models`` is not signed or
            was changed, or its report is not the one that was judged.
    """
    entries = history(models)
    _check_served(entries, models)
    changes = tuple(entry for entry in entries if entry["hash"] == bundle.hash)
    folder = _signed_folder(bundle, models)
    _check_report(changes, models / "versions" / bundle.version / REPORT)
    nodes = tuple(
        {name: node.get(name) for name in ("name", "rows", "policy", "epsilon")}
        for node in bundle.facts.get("nodes") or []
    )
    return Lineage(bundle, signer(folder) if folder else None, changes, nodes)


def _check_served(entries: list[dict[str, Any]], models: Path) -> None:
    """The model that is served must be the one that the history served last."""
    served = [entry for entry in entries if entry["action"] in SERVED]
    if served and (now := load_signed(models)).hash != served[-1]["hash"]:
        raise BundleError(
            f"{models}: the history says that version {served[-1]['version']} is served, but the folder holds "
            f"{now.version}: one of them was changed from outside"
        )


def _signed_folder(bundle: Bundle, models: Path) -> Path | None:
    """Where ``models`` holds the bundle signed; None for one that was never promoted."""
    for folder in (models, models / "versions" / bundle.version):
        try:
            if load_bundle(folder).hash != bundle.hash or not (folder / "bundle.sig").is_file():
                continue
        except BundleError:
            continue
        load_signed(folder)
        return folder
    return None


def _check_report(changes: tuple[Mapping[str, Any], ...], kept: Path) -> None:
    judged = {entry["report"] for entry in changes if entry["report"]}
    if kept.is_file() and judged and sha256(kept.read_bytes()).hexdigest() not in judged:
        raise BundleError(f"{kept}: not the report that the history's lines were written on: it was changed")
