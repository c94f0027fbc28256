"""A network's own certificate authority, and its server's certificate: what nodes know their server by.

Both are ECDSA on P-256. The authority's certificate travels in every enrolment file, so that no node needs, or trusts,
any other authority.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fedhealth.keys import write_private
from fedhealth.runtime.flower.environment import FlowerError

AUTHORITY_AGE, SERVER_AGE = timedelta(days=3653), timedelta(days=365)
RENEWED_BEFORE = timedelta(days=30)  # of its end, a server's certificate is renewed
SLACK = timedelta(days=1)  # before now that a certificate begins: clocks differ
LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class ServerFolder:
    """Where a server keeps its authority, its certificate and the book of its nodes."""

    path: Path

    @property
    def authority(self) -> Path:
        """The authority's certificate; the only file here that is no secret."""
        return self.path / "ca.crt"

    @property
    def authority_key(self) -> Path:
        """The authority's key."""
        return self.path / "ca.key"

    @property
    def certificate(self) -> Path:
        """The server's certificate."""
        return self.path / "server.crt"

    @property
    def key(self) -> Path:
        """The server's key."""
        return self.path / "server.key"

    @property
    def book(self) -> Path:
        """The book of the nodes."""
        return self.path / "nodes.sqlite"

    @property
    def is_initialised(self) -> bool:
        """Whether ``fedhealth server init`` was run."""
        return self.certificate.is_file()


def prepare(folder: ServerFolder, hosts: Sequence[str], now: datetime | None = None) -> list[str]:
    """Make what is missing in ``folder``, and renew a server's certificate that ends soon or lacks one of ``hosts``.

    Args:
        folder: made when there is none.
        hosts: names and addresses by which nodes reach the server; those of an earlier certificate stay.
        now: default the time of this machine.

    Returns:
        What was made, kept or renewed, a line each.

    Raises:
        FlowerError: the authority's key and certificate do not both exist, or the authority has ended.
    """
    now = now or datetime.now(UTC)
    folder.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    done = [_prepare_authority(folder, now)]
    before = load(folder.certificate) if folder.is_initialised else None
    wanted = list(dict.fromkeys([*hosts, *(hosts_of(before) if before else ()), *LOCAL]))
    if before and set(wanted) == set(hosts_of(before)) and before.not_valid_after_utc - now > RENEWED_BEFORE:
        return [*done, f"kept the server's certificate, good until {_day(before)}, for {', '.join(hosts_of(before))}"]
    made = _issue_server(folder, wanted, now)
    verb = "renewed" if before else "made"
    return [*done, f"{verb} the server's certificate, good until {_day(made)}, for {', '.join(wanted)}"]


def load(path: Path) -> x509.Certificate:
    """The certificate in a PEM file.

    Raises:
        FlowerError: there is none.
    """
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise FlowerError(f"{path}: no certificate can be read ({error}); run: fedhealth server init") from None


def hosts_of(certificate: x509.Certificate) -> list[str]:
    """The names and addresses that a certificate is for, in its order."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]


def check_in_force(folder: ServerFolder, now: datetime | None = None) -> None:
    """Check that the server's certificate may be used now.

    Raises:
        FlowerError: it may not; says what to run.
    """
    now = now or datetime.now(UTC)
    for path in (folder.authority, folder.certificate):
        certificate = load(path)
        if now > certificate.not_valid_after_utc:
            what = "renew it" if path == folder.certificate else "the authority has to be made anew, in a new folder"
            raise FlowerError(f"{path} expired on {_day(certificate)}; {what}: fedhealth server init")
        if now < certificate.not_valid_before_utc:
            raise FlowerError(f"{path} is not valid yet: this machine's clock says {now:%Y-%m-%d %H:%M} UTC; set it")


def key_fingerprint(public: bytes) -> str:
    """A short name of a public key or certificate (PEM or raw bytes) for people to compare: 16 groups of 4 digits."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(public)
    text = digest.finalize().hex()
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def _day(certificate: x509.Certificate) -> str:
    return f"{certificate.not_valid_after_utc:%Y-%m-%d}"


def _prepare_authority(folder: ServerFolder, now: datetime) -> str:
    there = [path.is_file() for path in (folder.authority, folder.authority_key)]
    if all(there):
        ended = load(folder.authority)
        if now > ended.not_valid_after_utc:
            raise FlowerError(f"{folder.authority} expired on {_day(ended)}; start a new --folder, and invite all anew")
        return f"kept the authority, good until {_day(ended)}"
    if any(there):
        raise FlowerError(f"{folder.path}: ca.crt and ca.key belong together, but only one is there; restore the other")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "FedHealth network authority")])
    builder = _builder(name, name, key.public_key(), now, AUTHORITY_AGE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    made = builder.sign(key, hashes.SHA256())
    write_private(folder.authority_key, _pem(key))
    folder.authority.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return f"made an authority, good until {_day(made)}"


def _issue_server(folder: ServerFolder, hosts: Sequence[str], now: datetime) -> x509.Certificate:
    authority = load(folder.authority)
    signer = serialization.load_pem_private_key(folder.authority_key.read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "FedHealth server")])
    builder = _builder(name, authority.subject, key.public_key(), now, SERVER_AGE)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.SubjectAlternativeName([_name(host) for host in hosts]), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    above = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    made = builder.add_extension(above, critical=False).sign(signer, hashes.SHA256())
    write_private(folder.key, _pem(key))
    write_private(folder.certificate, made.public_bytes(serialization.Encoding.PEM))
    return made


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, age: timedelta
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - SLACK).not_valid_after(now + age)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
