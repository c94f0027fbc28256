"""Which bundle is served, which were before, and an append-only history of every change.

``models/`` itself holds the champion's three files; ``models/versions/VERSION/`` holds every bundle that was ever
published, so that a rollback needs nothing else; ``models/history.jsonl`` has one line per change.
"""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedhealth.registry.bundle import Bundle, BundleError, load_bundle

FILES = ("model.safetensors", "MODEL_CARD.md", "bundle.json")  # bundle.json last: a reader never sees it early
HISTORY = "history.jsonl"


@dataclass(frozen=True)
class Version:
    """A bundle on disk and its standing: ``champion`` (served), ``former`` or ``challenger``."""

    bundle: Bundle
    folder: Path
    standing: str


def publish(source: Path, models: Path, action: str = "publish", reason: str = "") -> Bundle:
    """Make the verified bundle in ``source`` the champion in ``models`` and write the change into the history.

    Nothing is written where that bundle is the champion already.

    Raises:
        BundleError: the bundle in ``source`` is absent or damaged.
    """
    bundle = load_bundle(source)
    before = champion(models)
    if before and before.hash == bundle.hash:
        return bundle
    if before:
        _copy(models, models / "versions" / before.version)
    _copy(source, models / "versions" / bundle.version)
    _append(
        models,
        {
            "action": action,
            "version": bundle.version,
            "hash": bundle.hash,
            "reason": reason,
            "before": before.version if before else None,
            "study": bundle.study.name,
        },
    )
    _copy(models / "versions" / bundle.version, models)
    return load_bundle(models)


def rollback(models: Path, reason: str) -> Bundle:
    """Make the champion's predecessor the champion again.

    Raises:
        BundleError: there is no predecessor, or its bundle is damaged.
    """
    now = champion(models)
    if now is None:
        raise BundleError(f"{models}: no model is published, so there is nothing to roll back")
    changes = [entry for entry in history(models) if entry["version"] == now.version and entry["action"] != "rollback"]
    past = [entry["before"] for entry in changes if entry["before"]]
    if not past:
        raise BundleError(f"{models}: version {now.version} has no predecessor to roll back to")
    return publish(models / "versions" / past[-1], models, "rollback", reason)


def champion(models: Path) -> Bundle | None:
    """The published bundle, or None where there is none that verifies."""
    try:
        return load_bundle(models)
    except BundleError:
        return None


def history(models: Path) -> list[dict[str, Any]]:
    """All changes of the champion, oldest first.

    Raises:
        BundleError: a line is broken; names it.
    """
    path = models / HISTORY
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [_entry(line, f"{path}: line {number}") for number, line in enumerate(lines, 1)]


def _entry(line: str, place: str) -> dict[str, Any]:
    try:
        entry: dict[str, Any] = json.loads(line)
    except ValueError:
        raise BundleError(f"{place}: not valid JSON; repair or remove that line") from None
    return entry


def versions(models: Path, runs: Path) -> list[Version]:
    """Every version that verifies: the champion, former ones, and challengers among the runs' bundles."""
    now = champion(models)
    found = {now.hash: Version(now, models, "champion")} if now else {}
    for folder, standing in _folders(models, runs):
        try:
            bundle = load_bundle(folder)
        except BundleError:
            continue
        found.setdefault(bundle.hash, Version(bundle, folder, standing))
    return list(found.values())


def find_version(name: str, known: Sequence[Version]) -> Version:
    """The version whose hash begins with ``name``, or whose folder is ``name``.

    Raises:
        BundleError: none or several match.
    """
    matches = [v for v in known if v.bundle.hash.startswith(name) or str(v.folder) == name.rstrip("/")]
    if len(matches) != 1:
        names = ", ".join(v.bundle.version for v in known) or "none"
        raise BundleError(f"{name!r} names {len(matches)} versions; expected one of: {names}")
    return matches[0]


def _folders(models: Path, runs: Path) -> list[tuple[Path, str]]:
    former = [(path.parent, "former") for path in sorted(models.glob("versions/*/bundle.json"))]
    return former + [(path.parent, "challenger") for path in sorted(runs.glob("*/bundle.json"))]


def _copy(source: Path, target: Path) -> None:
    """Copy a bundle's files, each replaced in one step."""
    target.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        staged = target / f".{name}.new"
        shutil.copyfile(source / name, staged)
        staged.replace(target / name)


def _append(models: Path, entry: dict[str, Any]) -> None:
    line = {"time": datetime.now(UTC).isoformat(timespec="seconds"), **entry}
    with (models / HISTORY).open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")
        log.flush()
        os.fsync(log.fileno())
