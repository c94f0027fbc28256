"""Which bundle is served, which may be next, and which were before: read, never changed.

``models/`` itself holds the champion's files; ``models/versions/VERSION/`` every bundle that ever was champion or
challenger, so that a rollback needs nothing else. The challenger is who the history says.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fedhealth.registry.bundle import Bundle, BundleError, load_bundle
from fedhealth.registry.history import history
from fedhealth.registry.signing import load_signed

ALIASES = ("champion", "challenger")
SERVED = ("publish", "promote", "rollback")  # actions that make a champion


@dataclass(frozen=True)
class Version:
    """A bundle on disk and its standing: ``champion`` (served), ``challenger``, ``former``, or ``trained`` by a run."""

    bundle: Bundle
    folder: Path
    standing: str


def champion(models: Path) -> Bundle | None:
    """The bundle that is served from ``models``; None where none ever was.

    Raises:
        BundleError: it does not verify, or nobody who is trusted signed it, or it is gone.
    """
    if not (models / "bundle.json").exists() and served_last(models) is None:
        return None
    try:
        return load_signed(models)
    except BundleError as error:
        raise BundleError(f"the champion cannot be used: {error}") from None


def served_since(models: Path, version: str) -> str | None:
    """When the version was last made champion (ISO 8601), or None where the history does not tell.

    Raises:
        BundleError: the history is broken.
    """
    times = [entry["time"] for entry in history(models) if entry["action"] in SERVED and entry["version"] == version]
    return str(times[-1]) if times else None


def served_last(models: Path) -> str | None:
    """The version that the history made champion last; None where it made none.

    Raises:
        BundleError: the history is broken.
    """
    served = [str(entry["version"]) for entry in history(models) if entry["action"] in SERVED]
    return served[-1] if served else None


def challenger(models: Path, of: str | None = None) -> str | None:
    """The version that was last made challenger, until it is promoted; None where there is none (of champion ``of``).

    Raises:
        BundleError: the history is broken.
    """
    last = None
    for entry in history(models):
        if entry["action"] == "challenge":
            last = entry
        elif last and entry["action"] in SERVED and entry["version"] == last["version"]:
            last = None
    return str(last["version"]) if last and of in (None, last["before"]) else None


def versions(models: Path, runs: Path) -> list[Version]:
    """Every version that verifies: the champion, the challenger, former ones, and those that runs trained.

    Its folder is that of its run, if there still is one.

    Raises:
        BundleError: the champion cannot be used, or the history is broken.
    """
    now, next_one = champion(models), challenger(models)
    found = {now.hash: Version(now, models, "champion")} if now else {}
    for folder, standing in _folders(models, runs):
        try:
            bundle = load_bundle(folder)
        except BundleError:
            continue
        known = found.get(bundle.hash)
        if known is None:
            found[bundle.hash] = Version(bundle, folder, "challenger" if bundle.version == next_one else standing)
        elif known.standing != "champion":
            found[bundle.hash] = replace(known, folder=folder)  # the run's own report is the newest
    return list(found.values())


def find_version(name: str, known: Sequence[Version]) -> Version:
    """The version whose hash begins with ``name``, that lies in the folder ``name``, or whose alias it is.

    Raises:
        BundleError: none or several match.
    """
    if name in ALIASES:
        matches = [v for v in known if v.standing == name]
    else:
        there = _hash_in(Path(name))
        matches = [v for v in known if v.bundle.hash.startswith(name) or v.bundle.hash == there]
    if not known:
        raise BundleError(f"there is no model {name!r}: none was published or trained here; train one: fedhealth train")
    if len(matches) != 1:
        names = ", ".join(v.bundle.version for v in known) or "none"
        raise BundleError(f"{name!r} names {len(matches)} versions; expected one of: {names}")
    return matches[0]


def _hash_in(folder: Path) -> str | None:
    try:
        return load_bundle(folder).hash
    except BundleError:
        return None


def _folders(models: Path, runs: Path) -> list[tuple[Path, str]]:
    kept = [(path.parent, "former") for path in sorted(models.glob("versions/*/bundle.json"))]
    return kept + [(path.parent, "trained") for path in sorted(runs.glob("*/bundle.json"))]
