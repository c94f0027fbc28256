"""Changes of which bundle is served and which may be next, each written into the history.

Where the files lie: :mod:`fedhealth.registry.standing`.
"""

import shutil
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from fedhealth.registry.bundle import (
    FILES,
    REPORT,
    Bundle,
    BundleError,
    bundle_of,
    load_bundle,
    read_files,
    replace_file,
)
from fedhealth.registry.history import append, changing, history
from fedhealth.registry.signing import SIGNATURE, load_signed, refuse_added, sign_bundle
from fedhealth.registry.standing import champion, served_last

NOBODY = "none"  # the version that is served where none is


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
