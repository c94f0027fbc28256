"""What ``fedhealth doctor`` looks at: one finding a check, with what to do where it is not well."""

import os
import platform
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cryptography import x509

from fedhealth.data.dataset import read_own_shard
from fedhealth.data.files import DataError
from fedhealth.data.generated import is_synthetic
from fedhealth.privacy import (
    Ledger,
    PolicyError,
    PolicyRefusal,
    is_approved,
    ledger_file,
    policy_file,
    policy_of,
)
from fedhealth.privacy.secure_aggregation import SecureAggregationError, identity
from fedhealth.runtime.flower.book import Book
from fedhealth.runtime.flower.certificates import RENEWED_BEFORE, ServerFolder, check_in_force, load
from fedhealth.runtime.flower.enrolment import Enrolment, Welcome, enrolment_of, make_known, node_keys
from fedhealth.runtime.flower.environment import FlowerError
from fedhealth.runtime.flower.pinned import knock
from fedhealth.study import Study, StudyError

FLWR = "1.41."  # what the code was tested with; its internals change
SPACE = 2**30  # bytes free, at least
DRIFT = 30.0  # seconds between two clocks that are worth a word

KNOWN = (FlowerError, DataError, PolicyError, PolicyRefusal, StudyError, SecureAggregationError, OSError)


@dataclass(frozen=True)
class Finding:
    """One check: what was found, and what to do about it; nothing to do where all is well."""

    check: str
    found: str
    advice: str = ""


class _Ill(Exception):
    """Something is not well: found, and what to do."""


def examine_machine(folder: Path) -> list[Finding]:
    """Python, the packages, and the disk that holds ``folder``."""
    return [
        _look("Python", _python),
        _look("flwr", _flwr),
        _look("fedhealth", lambda: version("fedhealth")),
        _look("disk", lambda: _space(folder)),
    ]


def examine_server(folder: ServerFolder, port: int) -> list[Finding]:
    """The server's certificates, keys, book of nodes and port."""
    return [
        *(
            _look(f"certificate {path.name}", lambda p=path: _certificate(load(p), "run: fedhealth server init"))  # type: ignore[misc]
            for path in (folder.authority, folder.certificate)
        ),
        _look("server's keys", lambda: _private(folder.authority_key, folder.key)),
        _look("book of nodes", lambda: _book(folder)),
        _look(f"port {port}", lambda: _port(folder, port)),
    ]


def examine_node(study: Study, node: str, data: Path) -> list[Finding]:
    """A node's table, policy, approval, ledger, keys, enrolment, and its server as seen from here."""
    findings = [
        _look("table", lambda: f"{len(read_own_shard(study, node, data, 0)):,} rows can be read"),
        _look("policy", lambda: _policy(study, node, data)),
        _look("approval", lambda: _approval(study, node, data)),
        _look("ledger", lambda: _ledger(study, node, data)),
    ]
    kept: list[Enrolment] = []
    findings.append(_look("enrolment", lambda: _enrolment(node, data, kept)))
    return [*findings, *(_examine_connection(kept[0], data) if kept else [])]


def _examine_connection(enrolment: Enrolment, data: Path) -> list[Finding]:
    met: list[Welcome] = []
    findings = [
        _look("node's keys", lambda: _keys(enrolment.node, data)),
        _look("authority", lambda: _certificate(_authority(enrolment), "ask the operator for a new invitation")),
        _look("server", lambda: _server(enrolment, data, met)),
    ]
    if not met:
        return findings
    return [
        *findings,
        _look("certificate", lambda: _until(met[0].certificate_ends, "tell the operator: fedhealth server init")),
        _look("clock", lambda: _clock(met[0].ahead)),
        _look("versions", lambda: _same_versions(met[0])),
    ]


def _authority(enrolment: Enrolment) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(enrolment.ca.encode())
    except ValueError:
        raise _Ill("its certificate cannot be read", "ask the operator for a new invitation") from None


def _look(check: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(check, look())
    except _Ill as ill:
        return Finding(check, *ill.args)
    except KNOWN as error:
        found, _, advice = str(error).partition("; ")
        return Finding(check, found, advice or "repair it, then run fedhealth doctor again")


def _python() -> str:
    if tuple(map(int, platform.python_version_tuple()[:2])) < (3, 11):
        raise _Ill(platform.python_version(), "install Python 3.11 or newer")
    return platform.python_version()


def _flwr() -> str:
    how = "run: pip install 'fedhealth[node]'"
    try:
        found = version("flwr")
    except PackageNotFoundError:
        raise _Ill("not installed", how) from None
    if not found.startswith(FLWR):
        raise _Ill(f"{found}; tested with {FLWR}x", how)
    return found


def _space(folder: Path) -> str:
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    found = f"{free / 2**30:.1f} GB free at {there}"
    if free < SPACE:
        raise _Ill(found, "free at least 1 GB: a full disk stops the audit log, and so every answer")
    return found


def _certificate(certificate: x509.Certificate, how: str) -> str:
    return _until(certificate.not_valid_after_utc, how)


def _until(ends: datetime, how: str) -> str:
    found, now = f"good until {ends:%Y-%m-%d}", datetime.now(UTC)
    if ends < now:
        raise _Ill(f"expired on {ends:%Y-%m-%d}", how)
    if ends - now < RENEWED_BEFORE:
        raise _Ill(found, how)
    return found


def _private(*paths: Path) -> str:
    for path in paths:
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise _Ill(f"others may read {path}", f"run: chmod 600 {path}")
    return "readable by their owner only"


def _book(folder: ServerFolder) -> str:
    states = [node.state for node in Book(folder.book).nodes()]
    if not states:
        raise _Ill("nobody is invited", "run: fedhealth server invite NODE")
    return ", ".join(f"{states.count(state)} {state}" for state in ("enrolled", "invited", "revoked"))


def _port(folder: ServerFolder, port: int) -> str:
    check_in_force(folder)
    try:
        knock(folder.authority.read_text(encoding="ascii"), f"127.0.0.1:{port}")
    except ConnectionRefusedError:
        return "free; no server runs"
    except OSError as error:
        raise _Ill(f"taken by something else ({error})", "end it, or choose another --port") from None
    return "this server listens, with its certificate"


def _policy(study: Study, node: str, data: Path) -> str:
    policy = policy_of(study, node, data)
    return f"{policy.name}, {'with' if policy_file(data, node).is_file() else 'without'} the owner's own limits"


def _approval(study: Study, node: str, data: Path) -> str:
    if is_approved(study, node, data):
        return f"study {study.name} {study.hash[:12]} is approved"
    if is_synthetic(study.node(node), data):
        return "synthetic rows need none"
    raise _Ill(f"study {study.name} is not approved", f"run: fedhealth node approve {node} {study.hash[:12]}")


def _ledger(study: Study, node: str, data: Path) -> str:
    path, policy = ledger_file(data, node), policy_of(study, node, data)
    if path.exists():
        return f"epsilon {Ledger(node, path, policy.epsilon, policy.delta).spent():.4g} spent"
    if not os.access(data, os.W_OK):
        raise _Ill(f"none yet, and {data} cannot be written", f"let this user write to {data}")
    return "none yet; nothing is spent"


def _enrolment(node: str, data: Path, kept: list[Enrolment]) -> str:
    found = enrolment_of(data, node)
    if found is None:
        raise _Ill("none: this node reaches a server on this machine only", "run: fedhealth node join FILE")
    kept.append(found)
    return f"at {found.server}" + (", not confirmed yet" if found.token else "")


def _keys(node: str, data: Path) -> str:
    node_keys(data, node)
    identity.own_key(identity.key_file(data, node))
    return _private(data / f"{node}.node-key.pem", identity.key_file(data, node))


def _server(enrolment: Enrolment, data: Path, met: list[Welcome]) -> str:
    met.append(make_known(enrolment, data))
    return f"{enrolment.server} knows {enrolment.node}"


def _clock(ahead: float) -> str:
    found = f"{ahead:+.0f} s off the server's"
    if abs(ahead) > DRIFT:
        raise _Ill(found, "set both clocks (NTP); signatures older than five minutes are refused")
    return found


def _same_versions(welcome: Welcome) -> str:
    for name, theirs in (("fedhealth", welcome.fedhealth), ("flwr", welcome.flwr)):
        if version(name) != theirs:
            raise _Ill(f"{name} {version(name)} here, {theirs} at the server", "install one version everywhere")
    return "the same at the server"
