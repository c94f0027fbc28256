"""What secure aggregation costs a node and the server in one round, beside Flower's SecAgg+ building blocks.

Nothing is lost in the rounds measured. Flower's side calls the functions of flwr.common.secure_aggregation as its
client and its server do, over the complete graph: keys on a NIST curve, Shamir shares by chunks, Fernet letters,
quantised values, NumPy's generator for masks. No network on either side; milliseconds, the median of the repeats.

    python benchmarks/secure_aggregation.py [--nodes 3 5 10 30 100] [--values 10000] [--repeats 5] [--json FILE]
"""

import argparse
import json
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from flwr.common.secure_aggregation.crypto.shamir import combine_shares, create_shares
from flwr.common.secure_aggregation.crypto.symmetric_encryption import decrypt, encrypt, generate_shared_key
from flwr.common.secure_aggregation.quantization import quantize
from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen, share_keys_plaintext_concat
from rich.console import Console
from rich.table import Table

from fedhealth.privacy.secure_aggregation import Member, NodeRound, ServerRound

RANGE = 2**32  # of Flower's masks
TARGET = 2**22  # of its quantised values


class Clock:
    """Adds up the milliseconds of what runs under it."""

    def __init__(self) -> None:
        self.spent = 0.0

    def __call__(self, work: Callable, *arguments):
        """Do the work, and count its time."""
        started = time.perf_counter()
        done = work(*arguments)
        self.spent += 1000 * (time.perf_counter() - started)
        return done


def ours(count: int, values: int) -> tuple[float, float]:
    """Milliseconds of one node (its average) and of the server."""
    keys = {f"node_{k:03}": Ed25519PrivateKey.generate() for k in range(count)}
    known = {name: key.public_key() for name, key in keys.items()}
    context, vector = secrets.token_bytes(32), np.random.default_rng(0).normal(size=values)
    node, server = Clock(), Clock()
    rounds = {name: node(NodeRound, Member(name, key, known, count), context) for name, key in keys.items()}
    everyone = [node(one.keys) for one in rounds.values()]
    state = server(ServerRound, context, everyone, count)
    passed = server(state.pass_on, [letter for one in rounds.values() for letter in node(one.letters, everyone)])
    arrived = server(state.arrived, [node(one.masked, passed[name], vector) for name, one in rounds.items()])
    signed = [node(one.signed, arrived) for one in rounds.values()]
    total = server(state.total, [node(one.shares, signed) for one in rounds.values()])
    np.testing.assert_allclose(total, count * vector, atol=1e-4)
    return node.spent / count, server.spent


def flower_node(count: int, values: int) -> float:
    """Milliseconds of one of Flower's clients; its peers' part is made beforehand."""
    peers = [ec.generate_private_key(ec.SECP384R1()) for _ in range(count - 1)]
    vector = np.random.default_rng(0).normal(size=values)
    shares = create_shares(secrets.token_bytes(32), count // 2 + 1, count)
    letters = share_keys_plaintext_concat(0, 1, shares[0], shares[0])
    clock = Clock()

    def whole() -> None:
        mine, other = (ec.generate_private_key(ec.SECP384R1()) for _ in range(2))
        seed = secrets.token_bytes(32)
        pem = mine.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        create_shares(seed, count // 2 + 1, count), create_shares(pem, count // 2 + 1, count)
        channels = [generate_shared_key(other, peer.public_key()) for peer in peers]
        boxes = [encrypt(channel, letters) for channel in channels]
        [decrypt(channel, box) for channel, box in zip(channels, boxes, strict=True)]
        hidden = quantize([vector], 8.0, TARGET)[0] + pseudo_rand_gen(seed, RANGE, [(values,)])[0]
        for place, peer in enumerate(peers):
            pair = pseudo_rand_gen(generate_shared_key(mine, peer.public_key()), RANGE, [(values,)])[0]
            hidden = hidden + pair if place % 2 else hidden - pair
        hidden % RANGE

    clock(whole)
    return clock.spent


def flower_server(count: int, values: int) -> float:
    """Milliseconds of Flower's server: every client's own mask is put together and taken off."""
    seeds = [secrets.token_bytes(32) for _ in range(count)]
    shares = [create_shares(seed, count // 2 + 1, count) for seed in seeds]
    vectors = [np.zeros(values, dtype=np.int64) for _ in range(count)]
    clock = Clock()

    def whole() -> None:
        total = np.sum(vectors, axis=0)
        for parts in shares:
            seed = combine_shares(parts[: count // 2 + 1])
            total = total - pseudo_rand_gen(seed, RANGE, [(values,)])[0]

    clock(whole)
    return clock.spent


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="+", default=[3, 5, 10, 30, 100])
    parser.add_argument("--values", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    asked, results = parser.parse_args(), []
    shown = Table("nodes", "node", "Flower's", "ratio", "server", "Flower's", "ratio", title="ms a round", box=None)
    for count in asked.nodes:
        measured = [ours(count, asked.values) for _ in range(asked.repeats)]
        beside = [(flower_node(count, asked.values), flower_server(count, asked.values)) for _ in range(asked.repeats)]
        node, server = (median(each) for each in zip(*measured, strict=True))
        their_node, their_server = (median(each) for each in zip(*beside, strict=True))
        results.append(
            {"nodes": count, "node": node, "server": server, "flower_node": their_node, "flower_server": their_server}
        )
        ratios = f"{node / their_node:.2f}", f"{server / their_server:.3f}"
        cells = f"{node:.2f}", f"{their_node:.1f}", ratios[0], f"{server:.2f}", f"{their_server:.1f}", ratios[1]
        shown.add_row(str(count), *cells)
    Console().print(shown)
    if asked.json:
        asked.json.write_text(
            json.dumps({"values": asked.values, "results": results}, indent=1) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
