"""Whole rounds: the sum is the plain sum whoever is lost, and every abuse is refused by name."""

from dataclasses import replace

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.privacy.secure_aggregation.rounds import PHASES, aggregate

from fedhealth.privacy.secure_aggregation import Member, NodeRound, SecureAggregationError, ServerRound
from fedhealth.privacy.secure_aggregation.fixed_point import decode, encode

CONTEXT = b"study run step round model"


def members(count):
    keys = {f"node_{k:03}": Ed25519PrivateKey.generate() for k in range(count)}
    known = {name: key.public_key() for name, key in keys.items()}
    return {name: Member(name, key, known, count) for name, key in keys.items()}


def draw(names, seed=0, length=50):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 1000, length) for name in names}


def plain(values, names, count):
    return decode(np.sum([encode(values[name], count) for name in names], axis=0, dtype=np.uint64))


@pytest.mark.parametrize("count", [3, 5, 10, *(pytest.param(n, marks=pytest.mark.full) for n in (50, 100))])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
def test_the_sum_is_the_plain_one_of_those_who_arrived(count, share):
    who, rng = members(count), np.random.default_rng(count)
    gone = list(rng.permutation(sorted(who))[: int(share * count)]) if count >= 5 else []
    lost = {}
    for k, name in enumerate(gone):
        lost.setdefault(PHASES[k % 4], []).append(str(name))
    values = draw(who)
    stayed = [name for name in who if name not in {*lost.get("letters", ()), *lost.get("masked", ())}]
    np.testing.assert_array_equal(aggregate(who, values, CONTEXT, lost), plain(values, stayed, count))


@pytest.mark.parametrize("phase", PHASES)
def test_one_of_five_may_be_lost_at_any_time(phase):
    who = members(5)
    values = draw(who)
    stayed = [n for n in who if n != "node_002" or phase in ("signed", "shares")]
    found = aggregate(who, values, CONTEXT, {phase: ["node_002"]})
    np.testing.assert_array_equal(found, plain(values, stayed, 5))


def begun(count=5, context=CONTEXT):
    """Everything up to the values: nodes, server, letters by receiver."""
    who = members(count)
    nodes = {name: NodeRound(member, context) for name, member in who.items()}
    server = ServerRound(context, [node.keys() for node in nodes.values()], len(nodes))
    letters = [letter for node in nodes.values() for letter in node.letters(list(server.keys.values()))]
    return who, nodes, server, server.pass_on(letters)


def test_what_the_server_sees_of_a_node_looks_random():
    _, nodes, _, passed = begun(3)
    seen = nodes["node_000"].masked(passed["node_000"], np.zeros(20_000)).values
    bits = np.unpackbits(seen.view(np.uint8))
    assert abs(bits.mean() - 0.5) < 0.005
    assert len(np.unique(seen)) == 20_000


def test_a_context_is_used_once():
    who = members(3)
    aggregate(who, draw(who), CONTEXT)
    with pytest.raises(SecureAggregationError, match="node_000 refused: this context was used before"):
        aggregate(who, draw(who), CONTEXT)


def test_a_sum_of_two_is_refused_by_server_and_node():
    who = members(2)
    with pytest.raises(SecureAggregationError, match="2 nodes sent keys; expected at least 3"):
        aggregate(who, draw(who), CONTEXT)
    nodes = {name: NodeRound(member, b"another") for name, member in who.items()}
    with pytest.raises(SecureAggregationError, match="node_000 refused: got keys of 2 nodes; expected at least 3"):
        nodes["node_000"].letters([node.keys() for node in nodes.values()])


def test_a_swapped_key_is_refused():
    who = members(3)
    nodes = [NodeRound(member, CONTEXT) for member in who.values()]
    keys = [node.keys() for node in nodes]
    mine = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    with pytest.raises(SecureAggregationError, match="the signature of node_001 under its keys is wrong"):
        nodes[0].letters([keys[0], replace(keys[1], mask_key=mine), keys[2]])


def test_keys_of_another_round_are_refused():
    who = members(3)
    elsewhere = NodeRound(who["node_001"], b"another round").keys()
    nodes = [NodeRound(who[name], CONTEXT) for name in ("node_000", "node_002")]
    with pytest.raises(SecureAggregationError, match="the signature of node_001 under its keys is wrong"):
        nodes[0].letters([nodes[0].keys(), elsewhere, nodes[1].keys()])


def test_a_stranger_is_refused():
    who, stranger = members(3), members(4)["node_003"]
    nodes = [NodeRound(member, CONTEXT) for member in (*who.values(), stranger)]
    with pytest.raises(SecureAggregationError, match="node_003 is unknown; expected node_000, node_001, node_002"):
        nodes[0].letters([node.keys() for node in nodes])


def test_a_tampered_letter_is_refused():
    _, nodes, _, passed = begun()
    letters = passed["node_000"]
    spoilt = replace(letters[0], box=bytes([letters[0].box[0] ^ 1]) + letters[0].box[1:])
    with pytest.raises(SecureAggregationError, match="node_000 refused: the letter from node_001 was tampered with"):
        nodes["node_000"].masked([spoilt, *letters[1:]], np.zeros(3))


@pytest.mark.parametrize(("value", "said"), [(np.nan, "is not finite"), (np.inf, "is not finite"), (1e12, "overflow")])
def test_what_is_no_number_or_overflows_is_refused(value, said):
    who = members(3)
    values = draw(who)
    values["node_001"][7] = value
    with pytest.raises(SecureAggregationError, match=said):
        aggregate(who, values, CONTEXT)


def test_values_are_given_once():
    _, nodes, _, passed = begun()
    nodes["node_000"].masked(passed["node_000"], np.zeros(3))
    with pytest.raises(SecureAggregationError, match="asked for 'masked' a second time"):
        nodes["node_000"].masked(passed["node_000"], np.ones(3))


def arrived(count=5):
    _, nodes, server, passed = begun(count)
    names = server.arrived([nodes[name].masked(passed[name], np.ones(3)) for name in nodes])
    return nodes, server, names


def test_a_list_of_two_is_not_signed():
    nodes, _, _ = arrived()
    with pytest.raises(SecureAggregationError, match="values of 2 nodes arrived; expected at least 4"):
        nodes["node_000"].signed(["node_000", "node_001"])


def test_what_must_be_there_is_counted_of_all_nodes_and_not_of_those_that_the_server_lets_begin():
    who = dict(list(members(10).items())[:7])
    nodes = {name: NodeRound(member, CONTEXT) for name, member in who.items()}
    keys = [node.keys() for node in nodes.values()]
    server = ServerRound(CONTEXT, keys, 10)
    passed = server.pass_on([letter for node in nodes.values() for letter in node.letters(keys)])
    names = server.arrived([nodes[name].masked(passed[name], np.ones(3)) for name in nodes])
    first = nodes["node_000"]
    with pytest.raises(SecureAggregationError, match="values of 6 nodes arrived; expected at least 7"):
        first.signed(names[:6])
    with pytest.raises(SecureAggregationError, match="got keys of 6 nodes; expected at least 7"):
        NodeRound(who["node_001"], b"another context").letters(keys[:6])


def test_too_few_signatures_unmask_nothing():
    nodes, _, names = arrived()
    signed = [nodes[name].signed(names) for name in names]
    with pytest.raises(SecureAggregationError, match="2 nodes signed the list; expected at least 4"):
        nodes["node_000"].shares(signed[:2])


def test_signatures_under_another_list_unmask_nothing():
    nodes, _, names = arrived()
    signed = [nodes[name].signed(names if name != "node_004" else names[1:]) for name in names]
    with pytest.raises(SecureAggregationError, match="signature of node_004 under the list of the arrived is wrong"):
        nodes["node_000"].shares(signed)


def test_nobody_is_unmasked_twice_or_as_both_arrived_and_lost():
    nodes, _, names = arrived()
    signed = [nodes[name].signed(names) for name in names]
    given = nodes["node_000"].shares(signed)
    assert not given.own_masks.keys() & given.mask_keys.keys()
    with pytest.raises(SecureAggregationError, match="asked for 'shares' a second time"):
        nodes["node_000"].shares(signed)
    with pytest.raises(SecureAggregationError, match="asked for 'signed' a second time"):
        nodes["node_000"].signed(names[:4])


def test_spoilt_shares_are_noticed_where_a_key_must_fit():
    _, nodes, server, passed = begun()
    names = server.arrived([nodes[name].masked(passed[name], np.ones(3)) for name in list(nodes)[:4]])
    signed = [nodes[name].signed(names) for name in names]
    shares = [nodes[name].shares(signed) for name in names]
    spoilt = replace(shares[0], mask_keys={"node_004": bytes(66)})
    with pytest.raises(SecureAggregationError, match=r"do not fit|do not give its key"):
        server.total([spoilt, *shares[1:]])
