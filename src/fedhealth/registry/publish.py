"""Which bundle is served, which may be next, and which were before.

``models/`` itself holds the champion's files; ``models/versions/VERSION/`` every bundle that ever was champion or
challenger, so that a rollback needs nothing else. The challenger is who the history says.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from fedhealth.registry.bundle import FILES, Bundle, BundleError, bundle_of, load_bundle, read_files, replace_file
from fedhealth.registry.history import append, changing, history
from fedhealth.registry.signing import SIGNATURE, load_signed, refuse_added, sign_bundle

ALIASES = ("champion", "challenger")
SERVED = ("publish", "promote", "rollback")  # actions that make a champion
REPORT = "report.json"
NOBODY = "none"  # the version that is served where none is


@dataclass(frozen=True)
class Version:
    """A bundle on disk and its standing: ``champion`` (served), ``challenger``, ``former``, or ``trained`` by a run."""

    bundle: Bundle
    folder: Path
    standing: str


def publish(
    source: Path,
    models: Path,
    action: str = "publish",
    reason: str = "",
    evidence: Mapping[str, Any] | None = None,
    instead_of: str | None = None,
    judged: str | None = None,
) -> Bundle:
    """Sign the verified bundle in ``source``, make it the champion in ``models``, and write that into the history.

    ``evidence`` (what the gates found, who overrode them) goes into the history too. Where that bundle is the champion
    already, nothing is written but the beginning of a history that is missing. ``instead_of`` is the version that must
    be served now (:data:`NOBODY` for none) and ``judged`` the hash that the bundle must have, if any will not do.

    Raises:
        BundleError: the bundle in ``source`` is absent or damaged, or the history or the champion is, or another
            version is served or was judged, or a file lies in ``models`` that is no part of a bundle.
    """
    files = read_files(source)
    bundle = bundle_of(files, source)
    if judged not in (None, bundle.hash):
        raise BundleError(f"{source}: changed since it was judged: it holds version {bundle.version} by now")
    with changing(models) as log:
        refuse_added(models)
        before = champion(models)
        served = before.version if before else None
        check_served(served or NOBODY, instead_of)
        if before and before.hash == bundle.hash:
            if served_last(models) is None:  # it came with the program, and was trained here now
                kept = _keep(source, files, bundle, models)
                _keep(models, read_files(models), before, models)  # with its signature
                append(log, _entry(action, bundle, None, reason, kept, evidence))
            return before
        kept = _keep(source, files, bundle, models)
        if not _is_signed(kept):
            sign_bundle(kept)
        if before:
            _keep(models, read_files(models), before, models)
        _serve(kept, models, log, _entry(action, bundle, served, reason, kept, evidence))
    return load_signed(models)


def check_served(served: str, expected: str | None) -> None:
    """Raise BundleError where another version is ``served`` than the one that is ``expected``, if any will not do."""
    if expected is not None and served != expected:
        raise BundleError(f"version {served} is served by now, not {expected}: somebody else was quicker; look again")


def rollback(models: Path, reason: str, by: str = "", instead_of: str | None = None) -> Bundle:
    """Make the champion's predecessor the champion again; ``by`` and ``instead_of`` are as in :func:`publish`.

    Who is the champion is what the history says, so a champion whose files were damaged can be rolled back.

    Raises:
        BundleError: there is no predecessor, its bundle is damaged or not signed, another version is served, or a file
            lies in ``models`` that is no part of a bundle; nothing is changed.
    """
    now = served_last(models)
    if now is None:
        raise BundleError(f"{models}: no model was published here, so there is nothing to roll back")
    changes = [e for e in history(models) if e["version"] == now and e["action"] in ("publish", "promote")]
    past = [entry["before"] for entry in changes if entry["before"]]
    if not past:
        raise BundleError(f"{models}: version {now} has no predecessor to roll back to")
    kept = models / "versions" / past[-1]
    bundle, evidence = load_signed(kept), {"by": by} if by else None
    with changing(models) as log:
        refuse_added(models)
        check_served(served_last(models) or NOBODY, instead_of or now)
        _serve(kept, models, log, _entry("rollback", bundle, now, reason, kept, evidence))
    return load_signed(models)


def challenge(source: Path, models: Path, reason: str) -> Bundle:
    """Make the verified bundle in ``source`` the challenger: kept in ``models``, not signed, not served.

    Raises:
        BundleError: the bundle is absent or damaged, or is the champion.
    """
    files, before = read_files(source), champion(models)
    bundle = bundle_of(files, source)
    if before and before.hash == bundle.hash:
        raise BundleError(f"version {bundle.version} is the champion; only another one can challenge it")
    with changing(models) as log:
        kept = _keep(source, files, bundle, models)
        append(log, _entry("challenge", bundle, before.version if before else None, reason, kept))
    return bundle


def note_refusal(source: Path, models: Path, reason: str, evidence: Mapping[str, Any]) -> None:
    """Write into the history that the bundle in ``source`` was to be promoted and the gates refused it."""
    bundle, before = load_bundle(source), champion(models)
    with changing(models) as log:
        append(log, _entry("refuse", bundle, before.version if before else None, reason, source, evidence))


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


def _entry(
    action: str,
    bundle: Bundle,
    before: str | None,
    reason: str,
    folder: Path,
    evidence: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    report = folder / REPORT
    return {
        "action": action,
        "version": bundle.version,
        "hash": bundle.hash,
        "reason": reason,
        "before": before,
        "study": bundle.study.name,
        "report": sha256(report.read_bytes()).hexdigest() if report.is_file() else None,
        **(evidence or {}),
    }


def _keep(source: Path, files: Mapping[str, bytes], bundle: Bundle, models: Path) -> Path:
    """The folder that keeps this bundle of ``files`` in ``models``, with what its run left beside it in ``source``."""
    kept = models / "versions" / bundle.version
    if source.resolve() != kept.resolve():
        beside = {name: (source / name).read_bytes() for name in (REPORT, SIGNATURE) if (source / name).is_file()}
        kept.mkdir(parents=True, exist_ok=True)
        for name, data in {**beside, **{name: files[name] for name in FILES}}.items():
            replace_file(kept / name, data)
    return kept


def _is_signed(folder: Path) -> bool:
    try:
        load_signed(folder)
    except BundleError:
        return False
    return True


def _serve(kept: Path, models: Path, log: IO[bytes], entry: Mapping[str, Any]) -> None:
    """Write ``entry`` into the history, and put the files in ``kept`` into ``models``.

    Each file is replaced whole; they are staged elsewhere, since no other file may be in ``models``.
    """
    append(log, entry)
    staging = models / "versions" / ".next"
    staging.mkdir(exist_ok=True)
    for name in (SIGNATURE, *FILES):
        shutil.copyfile(kept / name, staging / name)
        (staging / name).replace(models / name)
