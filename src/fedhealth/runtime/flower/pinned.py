"""A node's way to its server before Flower's: over TLS to the one that the invitation names, or a word why not."""

import json
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any

import msgspec

from fedhealth.runtime.flower.environment import FlowerError

ENROL = "/v1/enrol"
PATIENCE = 10.0  # seconds for an answer
LARGEST_SKEW = 240.0  # seconds between the clocks of node and server; Flower refuses signatures 300 s old


class ServerAway(FlowerError):
    """Nothing answers at the server's address."""


@dataclass(frozen=True)
class Answer:
    """HTTP status and body; how far this machine's clock is ahead (s); when the server's certificate ends."""

    status: int
    told: dict[str, Any]
    ahead: float
    certificate_ends: datetime


def check_plain(address: str) -> None:
    """Check that a node without an enrolment may go on to ``address`` (host:port): loopback, and not TLS.

    Raises:
        ServerAway: nothing answers there.
        FlowerError: it may not, and how to enrol; or the clocks are too far apart.
    """
    host, port = _split(address)
    how = "ask its operator for an enrolment file (fedhealth server invite NODE), then: fedhealth node join FILE"
    if host not in ("127.0.0.1", "::1", "localhost"):
        raise FlowerError(f"the server at {address} is on another machine, and this node is not enrolled there; {how}")
    connection = HTTPConnection(host, port, timeout=PATIENCE)
    try:
        connection.request("GET", "/health")
        response = connection.getresponse()
        response.read()
    except (HTTPException, ConnectionResetError):
        raise FlowerError(f"the server at {address} takes enrolled nodes only, over TLS; {how}") from None
    except OSError as error:
        raise ServerAway(f"no server answers at {address} ({error})") from None
    finally:
        connection.close()
    check_clock(_ahead(response.getheader("Date")))


def check_clock(ahead: float) -> None:
    """Check that this machine's clock, ``ahead`` seconds before the server's, is near enough for Flower's signatures.

    Raises:
        FlowerError: it is not.
    """
    if abs(ahead) > LARGEST_SKEW:
        raise FlowerError(
            f"this machine's clock is {ahead:+.0f} s off the server's; set both, to within {LARGEST_SKEW:.0f} s"
        )


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
    host, port = _split(address)
    with (
        socket.create_connection((host, port), timeout=PATIENCE) as plain,
        tls_context(ca).wrap_socket(plain, server_hostname=host) as secure,
    ):
        return _ends(secure)


def _ends(secure: ssl.SSLSocket) -> datetime:
    shown = secure.getpeercert() or {}
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(shown["notAfter"])), UTC)


def post(ca: str, where: str, told: dict[str, str]) -> Answer:
    """Tell the server at ``where`` (host:port) something, once it has shown a certificate of the authority ``ca``.

    Raises:
        ServerAway: nothing answers there.
        FlowerError: what answers has no certificate that counts, or is no FedHealth server.
    """
    host, port = _split(where)
    connection = HTTPSConnection(host, port, timeout=PATIENCE, context=tls_context(ca))
    try:
        connection.request("POST", ENROL, json.dumps(told), {"Content-Type": "application/json"})
        ends = _ends(connection.sock)
        response = connection.getresponse()
        told_back = msgspec.json.decode(response.read(), type=dict[str, Any])
        return Answer(response.status, told_back, _ahead(response.getheader("Date")), ends)
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
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise FlowerError(f"what answers at {where} is no FedHealth server") from None
    finally:
        connection.close()


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


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
