"""The server's book of its nodes: who was invited, with which keys each enrolled, who was revoked."""

import hashlib
import hmac
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fedhealth.data.transactions import transaction
from fedhealth.runtime.flower.certificates import key_fingerprint
from fedhealth.runtime.flower.environment import FlowerError

_TABLE = """CREATE TABLE IF NOT EXISTS nodes (
    name TEXT PRIMARY KEY,
    token TEXT NOT NULL,
    invited TEXT NOT NULL,
    node_key TEXT UNIQUE,
    signing_key TEXT,
    enrolled TEXT,
    revoked TEXT
)"""


class Refused(FlowerError):
    """The server does not take a node in; the message says why, for both ends."""


@dataclass(frozen=True)
class Listed:
    """One node of the book: public keys (PEM, hexadecimal) and times (ISO, UTC), each None until it happened."""

    name: str
    token: str
    invited: str
    node_key: str | None
    signing_key: str | None
    enrolled: str | None
    revoked: str | None

    @property
    def state(self) -> str:
        """In a word."""
        return "revoked" if self.revoked else "enrolled" if self.enrolled else "invited"


@dataclass(frozen=True)
class Book:
    """The book in an SQLite file. Of a token only the SHA-256 is kept, and of a node's keys only the public halves."""

    path: Path

    def invite(self, name: str) -> str:
        """A one-time token for ``name``; an earlier one that was not used is void.

        Raises:
            FlowerError: the node is enrolled.
        """
        token = secrets.token_urlsafe(32)
        with self._open() as store:
            listed = _by_name(store, name)
            if listed and listed.state == "enrolled":
                raise FlowerError(f"{name} is enrolled since {listed.enrolled}; first: fedhealth server revoke {name}")
            store.execute(
                "INSERT OR REPLACE INTO nodes (name, token, invited) VALUES (?, ?, ?)", (name, _hash(token), _now())
            )
        return token

    def welcome(self, name: str, node_key: str, signing_key: str, token: str) -> bool:
        """Take a node in that shows its token, or know it again by its keys; whether it is new.

        Raises:
            Refused: with the reason.
        """
        with self._open() as store:
            listed = _by_name(store, name)
            if listed is None:
                raise Refused(f"{name} is not invited; the server's operator runs: fedhealth server invite {name}")
            if listed.revoked:
                raise Refused(f"{name} was revoked on {listed.revoked}; it needs a new invitation")
            if (listed.node_key, listed.signing_key) == (node_key, signing_key):
                return False
            if listed.enrolled:
                raise Refused(_other_key(store, listed, node_key, token))
            if not hmac.compare_digest(listed.token, _hash(token)):
                raise Refused(f"{name} came with a token that is not of its latest invitation; it needs a new one")
            if (other := _by_key(store, node_key)) is not None:
                raise Refused(f"{name} came with the key of {other.name}; every node makes its own")
            store.execute(
                "UPDATE nodes SET node_key = ?, signing_key = ?, enrolled = ? WHERE name = ?",
                (node_key, signing_key, _now(), name),
            )
            return True

    def revoke(self, name: str) -> None:
        """Refuse a node from now on, until it is invited anew.

        Raises:
            FlowerError: there is no such node.
        """
        with self._open() as store:
            if _by_name(store, name) is None:
                raise FlowerError(f"{name} was never invited; see: fedhealth server nodes")
            store.execute("UPDATE nodes SET revoked = coalesce(revoked, ?) WHERE name = ?", (_now(), name))

    def nodes(self) -> list[Listed]:
        """All nodes, by name."""
        with self._open() as store:
            return [Listed(*row) for row in store.execute("SELECT * FROM nodes ORDER BY name")]

    def of_key(self, node_key: str) -> Listed:
        """The node that enrolled with this key.

        Raises:
            Refused: there is none, or it was revoked.
        """
        with self._open() as store:
            listed = _by_key(store, node_key)
        if listed is None:
            raise Refused(f"an unregistered node, with key {_short(node_key)}; it must enrol: fedhealth node join FILE")
        if listed.revoked:
            raise Refused(f"{listed.name} was revoked on {listed.revoked}; it needs a new invitation")
        return listed

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with transaction(self.path, _TABLE) as store:
                yield store
        except sqlite3.Error as error:
            raise FlowerError(f"{self.path}: the book of the nodes cannot be used ({error})") from None


def _by_name(store: sqlite3.Connection, name: str) -> Listed | None:
    row = store.execute("SELECT * FROM nodes WHERE name = ?", (name,)).fetchone()
    return Listed(*row) if row else None


def _by_key(store: sqlite3.Connection, node_key: str) -> Listed | None:
    row = store.execute("SELECT * FROM nodes WHERE node_key = ?", (node_key,)).fetchone()
    return Listed(*row) if row else None


def _other_key(store: sqlite3.Connection, listed: Listed, node_key: str, token: str) -> str:
    """Why a node that is enrolled is not who came."""
    if token and hmac.compare_digest(listed.token, _hash(token)):
        return (
            f"the invitation of {listed.name} was used already, on {listed.enrolled}, with another key; ask for another"
        )
    other = _by_key(store, node_key)
    whose = f"the key of {other.name}" if other else "another key than it enrolled with"
    return f"a node came as {listed.name} with {whose}"


def _short(node_key: str) -> str:
    return key_fingerprint(node_key.encode())[:14]


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
