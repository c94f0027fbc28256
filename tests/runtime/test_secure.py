"""Training where the server sees only totals: the same model, no node's own sums, refusals by name."""

import dataclasses
from functools import partial

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.federation.worlds import STUDY, draw_rows, split

from fedhealth.federation import STEPS, TOGETHER, exchange_within, fit, fit_network, packing
from fedhealth.federation.aggregation import AGGREGATIONS, TooFewAnswers
from fedhealth.federation.contribution import arrays
from fedhealth.federation.strategies import FEDAVG
from fedhealth.privacy import EXITS, POLICIES, Budget, PolicyRefusal, policy_of
from fedhealth.privacy.secure_aggregation import SecureAggregationError, UnfitError
from fedhealth.privacy.secure_aggregation.identity import check_peers, key_file, own_key, peers_file
from fedhealth.runtime.experiment import run_experiment
from fedhealth.runtime.local import exchange_in_process
from fedhealth.runtime.node import Node
from fedhealth.runtime.private import run_private
from fedhealth.runtime.secure import SecureExchange
from fedhealth.runtime.summing import Arrived, Call, SummingNode, Values

DEFAULT = dataclasses.replace(STUDY, policy="default")
ROWS = draw_rows(2400, seed=31, missing=0.1)
SHARDS = split(ROWS, np.arange(len(ROWS)) % 4)
NAMES = [shard.node for shard in SHARDS]


FIVE = dataclasses.replace(DEFAULT, nodes=(*DEFAULT.nodes, dataclasses.replace(DEFAULT.node(NAMES[-1]), name="middle")))
FIVE_SHARDS = [*SHARDS, dataclasses.replace(SHARDS[-1], node="middle")]


def summing(study, shards, folder):
    """The nodes of a sum by name, each with a key of its own."""
    made = {}
    for shard in shards:
        node = Node.behind_door(study, shard, policy_of(study, shard.node, None), folder)
        made[shard.node] = SummingNode(node, Ed25519PrivateKey.generate())
    return made


@pytest.fixture
def nodes(tmp_path):
    """Four, of which a sum needs all."""
    return summing(DEFAULT, SHARDS, tmp_path)


@pytest.fixture
def five(tmp_path):
    """Five, of which a sum may lose one."""
    return summing(FIVE, FIVE_SHARDS, tmp_path)


def exchange_over(nodes, change=lambda name, call, state: (call, state), answer=lambda name, call, reply: reply):
    """An exchange whose server may ``change`` what it sends, and what comes back."""

    def talk(calls, state):
        return {name: answer(name, call, nodes[name].hear(*change(name, call, state))) for name, call in calls.items()}

    plain = lambda step, state: {name: node.node.answer(step, state) for name, node in nodes.items()}  # noqa: E731
    study = next(iter(nodes.values())).node.study
    return SecureExchange(study, 0, plain, talk, {name: node.public_key for name, node in nodes.items()})


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    """The model of a run under masks."""
    return fit(DEFAULT, exchange_in_process(DEFAULT, SHARDS, tmp_path_factory.mktemp("masked"))).model


def test_the_model_is_that_of_plain_sums(masked):
    plain = fit(DEFAULT, exchange_within(SHARDS, DEFAULT)).model
    np.testing.assert_allclose(masked.coefficients, plain.coefficients, atol=1e-7)
    np.testing.assert_allclose(masked.calibration, plain.calibration, atol=1e-6)


def test_two_runs_agree_to_the_last_bit(masked, tmp_path):
    again = fit(DEFAULT, exchange_in_process(DEFAULT, SHARDS, tmp_path)).model
    for name, array in masked.arrays().items():
        np.testing.assert_array_equal(array, again.arrays()[name])


@pytest.fixture
def any_size(monkeypatch):
    """The default policy, but for models with more parameters than so few rows allow."""
    monkeypatch.setitem(POLICIES, "default", dataclasses.replace(POLICIES["default"], rows_per_parameter=0))


@pytest.mark.slow
@pytest.mark.usefixtures("any_size")
def test_the_network_too_is_that_of_plain_sums(tmp_path):
    pytest.importorskip("torch")
    masked = fit_network(DEFAULT, exchange_in_process(DEFAULT, SHARDS, tmp_path), seed=1, rounds=2).model
    plain = fit_network(DEFAULT, exchange_within(SHARDS, DEFAULT), seed=1, rounds=2).model
    for name, weight in plain.weights.items():
        np.testing.assert_allclose(masked.weights[name], weight, atol=1e-4)


@pytest.mark.slow
def test_training_is_answered_with_totals_and_evaluation_node_by_node(tmp_path):
    exchange, seen = exchange_in_process(DEFAULT, SHARDS, tmp_path), {}

    def listening(step, state):
        seen.setdefault(step, exchange(step, state))
        return seen[step] if step in ("moments", "inventory") else exchange(step, state)

    report = run_experiment(DEFAULT, listening, model="logistic").report
    for step, replies in seen.items():
        assert list(replies) == ([TOGETHER] if EXITS[step].summed else NAMES), step
    assert report["took_part"] == NAMES
    assert [n["name"] for n in report["rounds"][-1]["nodes"]] == NAMES


def test_what_a_node_sends_is_not_its_sums(nodes):
    sent = []
    exchange_over(nodes, answer=lambda name, call, reply: sent.append(reply) or reply)("moments", {})
    for name, node in nodes.items():
        own = node.node.answer("moments", {}, together=NAMES)
        grid = np.round(own["squares"] * 2.0**24).astype(np.int64)
        for value in (*own["squares"].tolist(), *grid.tolist()):
            if value:
                text = np.array(value).tobytes()
                assert all(text not in reply for reply in sent), name


def test_noise_is_shared_and_there_is_a_share_to_spare(tmp_path):
    exchange = exchange_in_process(DEFAULT, SHARDS, tmp_path)
    state = arrays(spend=0.5)
    alone = exchange_in_process(dataclasses.replace(DEFAULT, policy="research"), SHARDS, tmp_path / "alone")
    together, each = exchange("private_counts", state)[TOGETHER], alone("private_counts", state)["east"]
    assert together.noise == pytest.approx(each.noise * np.sqrt(4 / 3))
    plain = sum(reply["counts"] for reply in exchange_within(SHARDS, DEFAULT)("private_counts", state).values())
    empty = plain == 0
    assert (together["counts"] - plain)[empty].std() == pytest.approx(together.noise, rel=0.15)


def test_a_private_run_says_whom_its_promise_holds_against(tmp_path):
    run = run_private(DEFAULT, exchange_in_process(DEFAULT, SHARDS, tmp_path), Budget(3.0), "logistic")
    assert "any one other node" in run.report["privacy"]["trust"]
    assert [node["rows"] for node in run.report["nodes"]] == [None] * 4
    assert run.report["global"]["n"] > 200


def test_a_sum_without_masks_stays_inside(nodes):
    with pytest.raises(
        PolicyRefusal, match="east refused step 'moments': it would leave for all to read; its 'default'"
    ):
        nodes["east"].node.answer("moments", {})


def test_research_and_two_nodes_go_without_masks():
    assert policy_of(DEFAULT, "east", None).secure_aggregation
    assert not policy_of(STUDY, "east", None).secure_aggregation
    assert not policy_of(dataclasses.replace(DEFAULT, nodes=DEFAULT.nodes[:2]), "east", None).secure_aggregation
    assert "only the total over 3 nodes or more" in " ".join(POLICIES["default"].promises())


@pytest.mark.usefixtures("any_size")
def test_a_median_needs_the_research_policy(tmp_path):
    pytest.importorskip("torch")
    median = dataclasses.replace(FEDAVG, aggregate=AGGREGATIONS["median"])
    with pytest.raises(TooFewAnswers, match="the total under secure aggregation: only a study of the research policy"):
        fit_network(DEFAULT, exchange_in_process(DEFAULT, SHARDS, tmp_path), seed=1, rounds=1, strategy=median)


def to_east(phase, **changes):
    """A server that tells one node something else in one phase, or in all (None)."""
    return lambda name, call, state: (
        (dataclasses.replace(call, **changes), state)
        if name == "east" and phase in (call.phase, None)
        else (call, state)
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (to_east(phase="masked", step="inventory"), "east refused: step 'inventory' is not summed"),
        (to_east(phase="masked", body=b"?"), "got a message of the server that cannot be read"),
        (to_east(phase=None, run="another"), "the signature of .* under its keys is wrong"),
    ],
)
def test_a_server_that_tells_one_node_something_else_is_refused(nodes, change, said):
    with pytest.raises(SecureAggregationError, match=said):
        exchange_over(nodes, change)("moments", {})


def test_another_state_than_the_sum_began_with_is_refused(nodes):
    def other(name, call, state):
        return call, arrays(low=[9.0]) if call.phase == "masked" else state

    with pytest.raises(SecureAggregationError, match="east refused: the state is not the one that the sum is about"):
        exchange_over(nodes, other)("moments", {})


def test_a_step_that_is_not_summed_gets_no_masks(nodes):
    exchange = exchange_over(nodes)
    about = Call("", "", "", "inventory", packing.digest({}), b"")
    begun = exchange._begin(about)
    with pytest.raises(SecureAggregationError, match="east refused: step 'inventory' is not summed"):
        exchange._total(begun, about, {})


def test_a_sum_of_two_nodes_is_refused(nodes):
    few = {name: nodes[name] for name in NAMES[:2]}
    with pytest.raises(SecureAggregationError, match="east refused: got keys of 2 nodes; expected at least 3"):
        exchange_over(few)("moments", {})


def test_the_same_sum_twice_in_one_run_is_another_round(nodes, monkeypatch):
    exchange = exchange_over(nodes)
    first, second = (exchange("moments", {})[TOGETHER] for _ in range(2))
    np.testing.assert_array_equal(first["squares"], second["squares"])
    monkeypatch.setattr("fedhealth.runtime.secure.secrets.token_hex", lambda size: "the same")
    exchange("moments", {})
    with pytest.raises(SecureAggregationError, match="this context was used before"):
        exchange("moments", {})


def test_a_node_that_does_not_know_its_own_key_refuses(nodes):
    exchange = exchange_over(nodes)
    exchange.roster = {**exchange.roster, "east": nodes["west"].public_key}
    with pytest.raises(SecureAggregationError, match="east refused: the server has another key for it"):
        exchange("moments", {})


def test_the_digest_tells_names_shapes_and_values():
    states = [arrays(a=[1.0]), arrays(b=[1.0]), arrays(a=[[1.0]]), arrays(a=[2.0]), {}]
    assert len({packing.digest(state) for state in states}) == len(states)


def test_keys_stay_and_another_key_under_a_known_name_is_refused(tmp_path):
    path = key_file(tmp_path, "east")
    first, again = own_key(path), own_key(path)
    assert first.private_bytes_raw() == again.private_bytes_raw()
    assert path.stat().st_mode & 0o077 == 0
    check = partial(check_peers, peers_file(tmp_path, "east"), "east")
    check({"east": bytes(32), "west": bytes(32)})
    check({"east": bytes(32), "north": bytes(32)})
    with pytest.raises(
        SecureAggregationError, match=r"east refused: west came with another key than before \(0101.*if its"
    ):
        check({"west": bytes([1] * 32)})
    path.write_bytes(b"short")
    with pytest.raises(SecureAggregationError, match=r"east.key: expected a signing key of 32 bytes"):
        own_key(path)


def test_keys_and_letters_of_the_next_sum_travel_with_this_one(nodes):
    phases = []
    exchange = exchange_over(nodes, answer=lambda name, call, reply: phases.append(call.phase) or reply)
    for _ in range(3):
        exchange("moments", {})
    assert phases[::4] == ["keys", "letters", *["masked", "signed", "shares"] * 3]


def test_a_node_that_was_started_anew_has_no_part_in_a_sum_that_was_begun_with_it(nodes):
    exchange = exchange_over(nodes)
    first = exchange("moments", {})[TOGETHER]
    nodes["east"] = SummingNode(nodes["east"].node, nodes["east"]._key)
    again = exchange("moments", {})[TOGETHER]
    np.testing.assert_array_equal(first["squares"], again["squares"])


def test_a_node_is_not_talked_into_a_small_share_of_noise(nodes):
    """Letters for very many made-up nodes are refused, and change nothing; nor do nodes that the study has not."""
    exchange = exchange_over(nodes)
    exchange("moments", {})
    east = nodes["east"]
    name, cohort = list(east._nodes.items())[-1]
    call = Call(
        "letters",
        "",
        name,
        "private_counts",
        packing.digest({}),
        packing.encode([east._begin(Call("", "", "", "", b"", b""), "x")] * 9),
    )
    with pytest.raises(SecureAggregationError):
        east.hear(call, {})
    assert east._nodes[name] == cohort
    exchange.roster = {**exchange.roster, "nobody": bytes(range(32))}
    exchange._next = None
    with pytest.raises(SecureAggregationError, match="east refused: nobody take no part in this study"):
        exchange("moments", {})


def test_nodes_that_are_counted_twice_do_not_make_up_for_those_that_are_missing(nodes):
    def repeated(name, call, state):
        if call.phase == "signed":
            arrived = packing.decode(call.body, Arrived)
            names = ["east", "east", "north", "south"]
            return dataclasses.replace(call, step="moments", body=packing.encode(Arrived(names, arrived.keys))), state
        return call, state

    with pytest.raises(SecureAggregationError, match="refused: values of 3 of 4 nodes arrived; expected 4"):
        exchange_over(nodes, repeated)("private_counts", arrays(spend=0.5))


def test_values_that_do_not_fit_end_a_nodes_part_and_are_not_told(nodes):
    state = arrays(low=np.zeros(4), high=np.ones(4))
    big = nodes["east"]
    answer = big.node.answer("counts", state, NAMES)
    assert answer.rows
    nodes["east"].node = dataclasses.replace(big.node, door=TooMuch(big.node.door))
    with pytest.raises(UnfitError, match="could overflow"):
        exchange_over(nodes)("counts", state)
    with pytest.raises(SecureAggregationError, match="east refused: its values did not fit into an earlier sum"):
        exchange_over(nodes)("counts", state)


def damaged(change, phase="masked", who="east"):
    """A node whose answers in one phase are changed on the way."""

    def answer(name, call, reply):
        if (name, call.phase) != (who, phase):
            return reply
        return packing.encode(change(packing.decode(reply, Values))) if phase == "masked" else change(reply)

    return answer


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (damaged(lambda one: dataclasses.replace(one, values=one.values[:-8])), "answers with damaged values"),
        (damaged(lambda one: dataclasses.replace(one, noise=np.nan)), "answers with damaged values"),
        (damaged(lambda one: dataclasses.replace(one, names=one.names[::-1])), "answers with other arrays than"),
        (damaged(lambda reply: b"?", "keys"), "got a message of east that cannot be read"),
        (damaged(lambda reply: reply.replace(b"east", b"west"), "keys"), "answers as west"),
    ],
)
def test_a_node_that_sends_damaged_messages_is_refused_by_name_and_the_sum_goes_on(five, answer, why):
    told = []
    exchange = exchange_over(five, answer=answer)
    exchange.watch = lambda event, **facts: told.append((event, *facts.values()))
    total = exchange("moments", {})[TOGETHER]
    others = exchange_within([one for one in FIVE_SHARDS if one.node != "east"], FIVE)("moments", {})
    np.testing.assert_allclose(total["squares"], sum(one["squares"] for one in others.values()), rtol=1e-6)
    assert told[0][:2] == ("refused", "east")
    assert told[0][2].startswith("step 'moments': ")
    assert why in told[0][2]


def test_a_sum_that_needs_the_node_that_sends_damage_names_it(nodes):
    exchange = exchange_over(nodes, answer=damaged(lambda one: dataclasses.replace(one, values=b"")))
    with pytest.raises(SecureAggregationError, match="lost in each of 5 sums; east: answers with damaged values"):
        exchange("private_counts", arrays(spend=0.01))


class TooMuch:
    """A door that lets out very large numbers."""

    def __init__(self, door):
        self.node, self.policy, self._door = door.node, door.policy, door

    def release(self, *asked):
        found = self._door.release(*asked)
        return dataclasses.replace(found, sums={name: array * 1e12 for name, array in found.sums.items()})


def test_asked_over_other_nodes_noise_is_drawn_and_paid_anew(tmp_path):
    node = Node.behind_door(DEFAULT, SHARDS[0], policy_of(DEFAULT, "east", None), tmp_path)
    state = arrays(spend=0.1)
    first, same, other = (node.answer("private_counts", state, names, "run") for names in (NAMES, NAMES, NAMES[:3]))
    np.testing.assert_array_equal(first["counts"], same["counts"])
    assert (first["counts"] != other["counts"]).all()
    assert sum(one.answers for one in node.door.ledger.studies()) == 2


def test_what_all_noise_may_tell_has_a_limit_without_the_owners_word(tmp_path):
    node = Node.behind_door(DEFAULT, SHARDS[0], policy_of(DEFAULT, "east", None), tmp_path)
    with pytest.raises(PolicyRefusal, match=r"owner's limit is 8 at delta 1e-05, 0 are spent, 8 are left"):
        node.answer("private_counts", arrays(spend=100.0), NAMES)


@pytest.mark.parametrize("asked", [np.nan, -50.0, np.inf, 3.0])
def test_the_owners_bound_on_a_networks_move_cannot_be_talked_away(tmp_path, asked):
    seen = {}
    policy = dataclasses.replace(policy_of(DEFAULT, "east", None), norm_bound=2.0, steps=("inventory",))
    node = Node.behind_door(DEFAULT, SHARDS[0], policy, tmp_path)
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(
            STEPS, "average", lambda study, state, rows: seen.update(state) or STEPS["inventory"](study, {}, rows)
        )
        with pytest.raises(PolicyRefusal):
            node.answer("average", arrays(norm_bound=asked))
    assert float(seen["norm_bound"]) == 2.0
