"""A node's side of enrolment: its invitation, its keys, and how it makes itself known to its server.

What a node keeps lies beside its table: ``NODE.enrolment.json`` (where the server is, and whose certificate it shows),
``NODE.node-key.pem`` (for Flower's authentication of nodes) and ``NODE.key`` (its signing key of secure aggregation).
Private keys never leave; the server gets the public halves, once, with the invitation's token.
"""

import json
import socket
import ssl
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fedhealth.privacy.secure_aggregation import identity
from fedhealth.runtime.flower.certificates import write_private
from fedhealth.runtime.flower.environment import FlowerError

ENROL = "/v1/enrol"
PATIENCE = 10.0  # seconds for an answer
LARGEST_SKEW = 240.0  # seconds between the clocks of node and server; Flower refuses signatures 300 s old
NodeKeys = tuple[ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey]


class ServerAway(FlowerError):
    """Nothing answers at the server's address."""


@dataclass(frozen=True)
class Enrolment:
    """What an enrolment file holds: ``ca`` is the authority's certificate (PEM), ``token`` empty once it was used."""

    node: Annotated[str, msgspec.Meta(pattern=r"^\w[\w.-]*$")]  # it names files
    server: Annotated[str, msgspec.Meta(pattern=r"^(\[[0-9a-fA-F:]+\]|[\w.-]+):[0-9]{1,5}$")]
    ca: str
    token: str
    study: str
    study_hash: str

    @property
    def host(self) -> str:
        """The server's name or address."""
        return self.server.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The server's port."""
        return int(self.server.rpartition(":")[2])

    def write(self, path: Path) -> None:
        """Write the file, readable by its owner only."""
        write_private(path, msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")


@dataclass(frozen=True)
class Welcome:
    """A server that knows the node: its versions, how far this machine's clock is ahead (s), its certificate's end."""

    fedhealth: str
    flwr: str
    ahead: float
    certificate_ends: datetime


def read_enrolment(path: Path) -> Enrolment:
    """The enrolment in a file.

    Raises:
        FlowerError: it cannot be read, or is not one.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Enrolment)
    except (OSError, msgspec.DecodeError) as error:
        raise FlowerError(
            f"{path}: not an enrolment file ({error}); ask the server's operator: fedhealth server invite NODE"
        ) from None


def enrolment_file(data: Path, node: str) -> Path:
    """Where a node keeps its enrolment: beside its table."""
    return data / f"{node}.enrolment.json"


def enrolment_of(data: Path, node: str) -> Enrolment | None:
    """The enrolment of a node, or None where it has none.

    Raises:
        FlowerError: the file cannot be read, or is another node's.
    """
    path = enrolment_file(data, node)
    if not path.exists():
        return None
    found = read_enrolment(path)
    if found.node != node:
        raise FlowerError(f"{path} is of {found.node}; run: fedhealth node join FILE")
    return found


def node_keys(data: Path, node: str) -> NodeKeys:
    """The keys by which Flower knows a node (ECDSA on P-384); made when there are none.

    Raises:
        FlowerError: the file holds something else.
    """
    path = data / f"{node}.node-key.pem"
    if not path.exists():
        plain = serialization.NoEncryption()
        made = ec.generate_private_key(ec.SECP384R1())
        write_private(path, made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except ValueError as error:
        raise FlowerError(f"{path}: no key can be read ({error}); restore it, or remove it and enrol anew") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise FlowerError(f"{path}: expected an elliptic curve key; restore it, or remove it and enrol anew")
    return key, key.public_key()


def public_pem(key: ec.EllipticCurvePublicKey) -> str:
    """A public key as the server's book and Flower write it."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def join(invitation: Enrolment, data: Path) -> Welcome:
    """Keep an invitation beside a node's table, make its keys, and enrol; a second time changes nothing.

    Raises:
        ServerAway: the server is not up; the node is ready, and enrols when it first connects.
        FlowerError: the server refuses the node, or is not the server that invited it.
    """
    kept = enrolment_of(data, invitation.node)
    if kept is None or replace(kept, token=invitation.token) != invitation:
        invitation.write(enrolment_file(data, invitation.node))
    return make_known(invitation, data)


def make_known(enrolment: Enrolment, data: Path) -> Welcome:
    """Show the node's public keys to its server, over TLS that only the server can end; forget the token once used.

    Raises:
        ServerAway: the server is not up.
        FlowerError: the server refuses the node or is another one, or the clocks are too far apart.
    """
    node = enrolment.node
    signing = identity.own_key(identity.key_file(data, node)).public_key().public_bytes_raw()
    told = {
        "node": node,
        "node_key": public_pem(node_keys(data, node)[1]),
        "signing_key": signing.hex(),
        "token": enrolment.token,
    }
    status, answer, ahead, ends = _post(enrolment, told)
    if status != 200:
        raise FlowerError(f"the server at {enrolment.server} refused {node}: {answer.get('refused', status)}")
    if abs(ahead) > LARGEST_SKEW:
        raise FlowerError(
            f"{node}: this machine's clock is {ahead:+.0f} s off the server's; set both (within {LARGEST_SKEW:.0f} s)"
        )
    if enrolment.token:
        replace(enrolment, token="").write(enrolment_file(data, node))
    return Welcome(str(answer["fedhealth"]), str(answer["flwr"]), ahead, ends)


def check_plain(address: str) -> None:
    """Check that a node without an enrolment may go on to ``address`` (host:port): loopback, and not TLS.

    Raises:
        FlowerError: it may not; says how to enrol.
    """
    host, _, port = address.rpartition(":")
    how = "ask its operator for an enrolment file (fedhealth server invite NODE), then: fedhealth node join FILE"
    if host not in ("127.0.0.1", "::1", "localhost"):
        raise FlowerError(f"the server at {address} is on another machine, and this node is not enrolled there; {how}")
    connection = HTTPConnection(host, int(port), timeout=PATIENCE)
    try:
        connection.request("GET", "/health")
        connection.getresponse().read()
    except (HTTPException, ConnectionResetError):
        raise FlowerError(f"the server at {address} takes enrolled nodes only, over TLS; {how}") from None
    except OSError as error:
        raise ServerAway(f"no server answers at {address} ({error})") from None
    finally:
        connection.close()


def tls_context(ca: str) -> ssl.SSLContext:
    """TLS 1.3 with a server whose certificate this authority alone signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(cadata=ca)
    except (ssl.SSLError, ValueError) as error:
        raise FlowerError(f"the enrolment file's certificate cannot be read ({error}); ask for a new one") from None
    return context


def knock(ca: str, address: str) -> datetime:
    """The end of the certificate that the server at ``address`` (host:port) shows.

    Raises:
        OSError: nothing answers there, or what answers has no certificate of this authority.
    """
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=PATIENCE) as plain,
        tls_context(ca).wrap_socket(plain, server_hostname=host) as secure,
    ):
        return _ends(secure)


def _ends(secure: ssl.SSLSocket) -> datetime:
    shown = secure.getpeercert() or {}
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(shown["notAfter"])), UTC)


def _post(enrolment: Enrolment, told: dict[str, str]) -> tuple[int, dict[str, Any], float, datetime]:
    """Status, answer, how far this machine's clock is ahead of the server's, and its certificate's end."""
    where = enrolment.server
    connection = HTTPSConnection(enrolment.host, enrolment.port, timeout=PATIENCE, context=tls_context(enrolment.ca))
    try:
        connection.request("POST", ENROL, json.dumps(told), {"Content-Type": "application/json"})
        ends = _ends(connection.sock)
        response = connection.getresponse()
        ahead = _ahead(response.getheader("Date"))
        return response.status, msgspec.json.decode(response.read(), type=dict[str, Any]), ahead, ends
    except ssl.SSLCertVerificationError as error:
        raise FlowerError(_distrust(where, error)) from None
    except ssl.SSLEOFError:
        raise ServerAway(f"no server answers at {where} (the connection broke)") from None
    except ssl.SSLError as error:
        if error.reason == "WRONG_VERSION_NUMBER":
            raise FlowerError(f"the server at {where} speaks no TLS: it is another one, or runs as a demo") from None
        raise FlowerError(f"no TLS connection with the server at {where}: {error.reason or error}") from None
    except (TimeoutError, ConnectionError, socket.gaierror, HTTPException, OSError) as error:
        raise ServerAway(f"no server answers at {where} ({str(error) or type(error).__name__})") from None
    except msgspec.DecodeError:
        raise FlowerError(f"what answers at {where} is no FedHealth server") from None
    finally:
        connection.close()


def _ahead(date: str | None) -> float:
    if date is None:
        return 0.0
    return (datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds()


_EXPIRED, _NOT_YET, _OTHER_HOST, _OTHER_ADDRESS = 10, 9, 62, 64  # OpenSSL's verification codes


def _distrust(where: str, error: ssl.SSLCertVerificationError) -> str:
    """Why the server's certificate is not accepted, and what to do."""
    if error.verify_code == _EXPIRED:
        return f"the certificate of the server at {where} expired; its operator renews it: fedhealth server init"
    if error.verify_code == _NOT_YET:
        return f"the certificate of the server at {where} is not valid yet: check this machine's clock"
    if error.verify_code in (_OTHER_HOST, _OTHER_ADDRESS):
        return (
            f"the certificate of the server at {where} is for other names; its operator adds this one: "
            "fedhealth server init --host NAME"
        )
    return (
        f"what answers at {where} is not the server that sent the invitation: another authority signed its "
        f"certificate ({error.verify_message}); ask its operator, and if all is well, for a new invitation"
    )
