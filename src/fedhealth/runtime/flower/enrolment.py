"""A node's side of enrolment: its invitation, its keys, and how it makes itself known to its server.

What a node keeps lies beside its table: ``NODE.enrolment.json`` (where the server is, and whose certificate it shows),
``NODE.node-key.pem`` (for Flower's authentication of nodes) and ``NODE.key`` (its signing key of secure aggregation).
Private keys never leave; the server gets the public halves, once, with the invitation's token.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fedhealth.keys import write_private
from fedhealth.privacy.secure_aggregation import identity
from fedhealth.runtime.flower.environment import FlowerError
from fedhealth.runtime.flower.pinned import ServerAway, check_clock, post

NodeName = Annotated[str, msgspec.Meta(pattern=r"^\w[\w.-]{0,99}$")]  # it names files
NodeKeys = tuple[ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey]


@dataclass(frozen=True)
class Enrolment:
    """What an enrolment file holds: ``ca`` is the authority's certificate (PEM), ``token`` empty once it was used."""

    node: NodeName
    server: Annotated[str, msgspec.Meta(pattern=r"^(\[[0-9a-fA-F:]+\]|[\w.-]+):[0-9]{1,5}$")]
    ca: str
    token: str
    study: str
    study_hash: str

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
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
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
        FlowerError: the server refuses the node, or is not the server that invited it; what was kept stays.
    """
    try:
        welcome = make_known(invitation, data)
    except ServerAway:
        invitation.write(enrolment_file(data, invitation.node))
        raise
    return welcome


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
    answer = post(enrolment.ca, enrolment.server, told)
    if answer.status != 200:
        why = answer.told.get("refused", answer.status)
        raise FlowerError(f"the server at {enrolment.server} refused {node}: {why}")
    check_clock(answer.ahead)
    if (used := replace(enrolment, token="")) != enrolment_of(data, node):
        used.write(enrolment_file(data, node))
    versions = str(answer.told["fedhealth"]), str(answer.told["flwr"])
    return Welcome(*versions, answer.ahead, answer.certificate_ends)
