"""Nodes that are lost, late, come back, refuse, or answer what no honest node could."""

import dataclasses
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.supercore.task_identity import TaskIdentity
from tests.runtime.grids import LocalGrid

from fedhealth import __version__
from fedhealth.data.synthetic import write_world
from fedhealth.federation import TOGETHER, packing
from fedhealth.federation.contribution import arrays
from fedhealth.privacy.secure_aggregation.messages import Letter, Shares
from fedhealth.runtime.flower import client, participants, wire
from fedhealth.runtime.flower.environment import FlowerError
from fedhealth.runtime.flower.participants import Participants, Patience
from fedhealth.runtime.secure import SecureExchange
from fedhealth.runtime.summing import Values
from fedhealth.study import load_study

NODES = [f"node_{k}" for k in range(1, 7)]


class Told:
    """Keeps what it is told; steps by themselves."""

    def __init__(self):
        self.events, self.steps = [], []

    def __call__(self, event, **facts):
        if event == "step":
            self.steps.append(facts)
        else:
            self.events.append((event, *facts.values()))


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """Six nodes: the three of the health-risk study, and three more with tables like the first's."""
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, 600, 7)
    text = (Path(client.__file__).parents[2] / "study/builtin/health-risk.toml").read_text(encoding="utf-8")
    section = text[text.index('[[node]]\nname = "node_1"') : text.index('[[node]]\nname = "node_2"')]
    for name in NODES[3:]:
        shutil.copytree(folder / "node_1", folder / name)
        text += section.replace("node_1", name)
    (folder / "six.toml").write_text(text, encoding="utf-8")
    (folder / "open.toml").write_text('policy = "research"\n' + text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def nodes():
    """Those that have read their tables, by study and name."""
    return {}


@pytest.fixture
def served(world, nodes, tmp_path, monkeypatch):
    """Gather six nodes: ``served(masked=..., fewest=..., change=...)`` gives grid, exchange, and what was told."""
    monkeypatch.setattr(client, "_summing", Remembered(client._summing, nodes))
    monkeypatch.setattr(participants, "LOOK", 0.05)
    for name in ("_run_id", "_task_id", "_node_id"):  # which Flower notes in every message that a process makes
        monkeypatch.setattr(TaskIdentity, name, 1)

    def make(masked=True, fewest=None, change=lambda name, question, answer: answer, nodes_patience=1.0):
        study = str(world / ("six.toml" if masked else "open.toml"))
        grid = LocalGrid(study, dict.fromkeys(NODES, world), tmp_path / "runs", change)
        grid.forget = lambda name: nodes.pop((study, name), None)
        loaded, told = load_study(study), Told()
        made = Participants(grid, loaded, 0, "run", Patience(nodes_patience, 0.5, fewest), told)
        made.gather()
        exchange = made.contributions
        if masked:
            roster = {name: one.public_key for name, one in made.introductions.items()}
            exchange = SecureExchange(loaded, 0, exchange, made.bodies, roster, "run", made.enough, told)
        return grid, exchange, told

    return make


class Remembered:
    """As the client's cache, but for several nodes of one process."""

    def __init__(self, inner, nodes):
        self.inner, self.nodes = inner, nodes

    def __call__(self, config, *asked):
        if (config.study, config.node) not in self.nodes:
            self.nodes[config.study, config.node] = self.inner.__wrapped__(config, *asked)
        return self.nodes[config.study, config.node]


def rows_of(exchange):
    return exchange("moments", {})[TOGETHER]["rows"]


def nothing(name, question):
    return None


def word_of_flower(name, question):
    """What Flower answers for a node that is gone before it does not list it any more."""
    return Message(Error(ErrorCode.NODE_UNAVAILABLE, "Error: Node Unavailable"), reply_to=question)


@pytest.mark.slow
@pytest.mark.parametrize("instead", [nothing, word_of_flower])
@pytest.mark.parametrize("phase", ["keys", "letters", "masked", "signed", "shares"])
def test_a_sum_over_six_goes_on_without_the_one_that_was_lost_in_any_phase(served, phase, instead):
    def dies(name, question, answer):
        call = wire.unpack_question(question).call
        if call and call.phase == phase and name == "node_4":
            grid.leave(name)
            return instead(name, question)
        return answer

    grid, exchange, told = served(change=dies)
    found, whole = rows_of(exchange), rows_of(served()[1])
    assert ("lost", "node_4", "it is no longer connected") in told.events
    if phase in ("signed", "shares"):  # its values had arrived
        assert found == whole
    else:
        assert whole * 4 / 6 < found < whole


def test_of_three_all_are_needed_and_one_that_comes_back_is_asked_again(served):
    gone = []

    def dies_once(name, question, answer):
        call = wire.unpack_question(question).call
        if call and call.phase == "masked" and name == "node_2" and not gone:
            gone.append(name)
            grid.leave(name)
            grid.forget(name)
            grid.come(name)
            return None
        return answer

    grid, exchange, told = served(fewest=6, change=dies_once)
    assert rows_of(exchange) == rows_of(served()[1])
    assert [event[:2] for event in told.events if event[0] != "joined"] == [("lost", "node_2"), ("back", "node_2")]


@pytest.mark.slow
def test_where_too_few_are_left_the_run_ends_with_what_to_do(served):
    grid, exchange, told = served(masked=False, fewest=6)
    grid.leave("node_3")
    with pytest.raises(FlowerError, match=r"step 'moments': lost node_3 and waited 1 s; 5 nodes .* add --resume"):
        exchange("moments", {})
    assert ("lost", "node_3", "it is no longer connected") in told.events


def test_a_node_that_is_late_is_named_and_left_out(served):
    late = lambda n, q, a: None if n == "node_5" and wire.unpack_question(q).step != wire.HELLO else a  # noqa: E731
    _, exchange, told = served(masked=False, change=late)
    assert list(exchange("inventory", {})) == [name for name in NODES if name != "node_5"]
    assert ("lost", "node_5", "gave no answer to step 'inventory' within 0 s") in told.events


@pytest.mark.slow
def test_noise_needs_all_shares_so_a_sum_that_lost_one_is_begun_anew(served):
    def dies(name, question, answer):
        call = wire.unpack_question(question).call
        if call and call.phase == "masked" and name == "node_5":
            grid.leave(name)
            return None
        return answer

    _, exchange, _ = served()
    whole = exchange("private_counts", arrays(spend=0.5))[TOGETHER]
    grid, exchange, _ = served(change=dies)
    found = exchange("private_counts", arrays(spend=0.5))[TOGETHER]
    assert found["rows"] < whole["rows"] - 300
    assert found.noise == pytest.approx(whole.noise * np.sqrt(5 / 4) / np.sqrt(6 / 5))


def altered(change):
    """A node_2 whose answers to steps are changed by ``change`` before they leave."""

    def changed(name, question, answer):
        asked = wire.unpack_question(question)
        if name != "node_2" or asked.step in (wire.HELLO, wire.GOODBYE):
            return answer
        honest = wire.unpack_contribution(asked, answer)
        return Message(wire.pack_contribution(asked, change(honest)), reply_to=question)

    return changed


def with_sums(**sums):
    return lambda honest: dataclasses.replace(
        honest, sums={**honest.sums, **{k: f(honest[k]) for k, f in sums.items()}}
    )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (with_sums(sum=lambda a: np.full_like(a, np.nan)), "'sum' holds a value that is not finite"),
        (with_sums(sum=lambda a: np.full_like(a, np.inf)), "'sum' holds a value that is not finite"),
        (with_sums(sum=lambda a: a[:3]), "its arrays are .*sum 3.*; the other nodes' are .*sum 18"),
        (with_sums(seen=lambda a: -a), "'seen' counts, and holds -"),
        (lambda honest: dataclasses.replace(honest, rows=-5), "it claims -5 rows"),
        (lambda honest: dataclasses.replace(honest, rows=10**15), "it claims 1,000,000,000,000,000 rows"),
        (lambda honest: dataclasses.replace(honest, noise=-1.0), "it claims noise of -1.0"),
        (
            lambda honest: dataclasses.replace(honest, sums={**honest.sums, "rows_of_people": np.ones(9)}),
            "it holds 'ro",
        ),
    ],
)
def test_what_no_honest_node_could_send_is_refused_by_name_and_the_round_goes_on(served, change, why):
    _, exchange, told = served(masked=False, change=altered(change))
    assert list(exchange("moments", {})) == [name for name in NODES if name != "node_2"]
    ((name, said),) = [event[1:] for event in told.events if event[0] == "refused"]
    assert name == "node_2"
    assert re.search(why, said), said


def test_an_answer_to_another_question_is_refused(served):
    def replayed(name, question, answer):
        asked = wire.unpack_question(question)
        if name != "node_2" or asked.step == wire.HELLO:
            return answer
        other = dataclasses.replace(asked, run="an earlier one")
        return Message(wire.pack_contribution(other, wire.unpack_contribution(asked, answer)), reply_to=question)

    _, exchange, told = served(masked=False, change=replayed)
    assert "node_2" not in exchange("moments", {})
    assert ("refused", "node_2", "step 'moments': its answer answers another question") in told.events


def test_bytes_that_cannot_be_read_and_too_many_of_them_are_refused(served, monkeypatch):
    def garbled(name, question, answer):
        if name != "node_2" or wire.unpack_question(question).step == wire.HELLO:
            return answer
        return Message(wire.pack_body(b"what is this?"), reply_to=question)

    _, exchange, told = served(masked=False, change=garbled)
    assert "node_2" not in exchange("moments", {})
    assert "cannot be read" in told.events[-1][2]
    _, exchange, told = served(masked=False)
    monkeypatch.setattr(wire, "LARGEST", 1000)
    with pytest.raises(FlowerError, match="more than 1,000 bytes"):
        exchange("counts", arrays(low=np.zeros(18), high=np.ones(18)))


def in_phase(phase, change):
    """A node_2 whose message in one phase of a sum under masks is changed by ``change`` before it leaves."""

    def changed(name, question, answer):
        call = wire.unpack_question(question).call
        if name != "node_2" or not call or call.phase != phase:
            return answer
        return Message(change(wire.unpack_body(answer)), reply_to=question)

    return changed


def body(kind, change):
    return lambda told: wire.pack_body(packing.encode(change(packing.decode(told, kind))))


def forged(letters):
    return [dataclasses.replace(one, sender="node_3") for one in letters]


def bent(shares):
    return dataclasses.replace(shares, own_masks={name: one[::-1] for name, one in shares.own_masks.items()})


@pytest.mark.parametrize(
    ("phase", "change", "why"),
    [
        ("keys", lambda told: RecordDict(), "is of another form"),
        ("letters", body(list[Letter], forged), "writes letters under another name"),
        ("masked", body(Values, lambda one: dataclasses.replace(one, shapes=[[2**63] * 40, [-1]])), "damaged values"),
        ("shares", body(Shares, bent), "its shares do not fit"),
        ("shares", body(Shares, lambda one: dataclasses.replace(one, own_masks={})), "its shares do not fit"),
    ],
)
def test_a_sum_under_masks_goes_on_without_who_damages_it_and_names_it(served, phase, change, why):
    _, exchange, told = served(change=in_phase(phase, change))
    assert rows_of(exchange) > 0
    refused = {(event[1], why in event[2]) for event in told.events if event[0] == "refused"}
    assert refused == {("node_2", True)}


def test_a_node_that_does_not_say_who_it_is_holds_nobody_up(served):
    grid = None

    def silent(name, question, answer):
        return None if grid and name == "node_5" else answer

    grid, exchange, _ = served(masked=False, change=silent)
    exchange("inventory", {})  # here it is lost
    began = time.monotonic()
    for _ in range(5):
        assert len(exchange("inventory", {})) == 5
    assert time.monotonic() - began < 2.0


@pytest.mark.slow
def test_while_nodes_gather_one_that_cannot_take_part_is_told_to_leave(served, world):
    def strange(name, question, answer):
        if name == "node_6" and wire.unpack_question(question).step == wire.HELLO:
            return Message(Error(1, "it takes part in study 'other'\x1b[2J"), reply_to=question)
        return answer

    grid, exchange, told = served(masked=False, fewest=5, change=strange)
    assert ("refused", "a node that came", "it takes part in study 'other'?[2J") in told.events
    assert ("node_6", wire.GOODBYE) in grid.asked
    assert list(exchange("inventory", {})) == NODES[:5]


@pytest.mark.slow
def test_who_comes_after_the_run_began_without_it_is_told_so(served):
    late = []

    def away(name, question, answer):
        return None if name == "node_6" and not late else answer

    grid, exchange, told = served(masked=False, fewest=5, change=away)
    assert ("absent", "node_6", "did not come within 1 s") in told.events
    grid.leave("node_6")
    late.append(True)
    grid.come("node_6")
    exchange("inventory", {})
    assert list(exchange("inventory", {})) == NODES[:5]
    assert "node_6 came after the run had begun without it; the next run takes it in" in told.events[-1][-1]


def test_more_nodes_than_there_are_cannot_be_asked_for(served):
    with pytest.raises(FlowerError, match="--min-nodes asks for 9 nodes; the study has 6"):
        served(masked=False, fewest=9)


def test_a_refusal_is_named_and_ends_the_run_where_the_node_is_needed(served):
    def refuses(name, question, answer):
        if name != "node_2" or wire.unpack_question(question).step == wire.HELLO:
            return answer
        return Message(Error(1, "its policy does not let this answer out"), reply_to=question)

    _, exchange, told = served(change=refuses)
    assert rows_of(exchange) > 0
    assert ("refused", "node_2", "step 'moments': its policy does not let this answer out") in told.events
    _, exchange, _ = served(fewest=6, change=refuses)
    with pytest.raises(
        FlowerError, match=r"node_2, step 'moments': its policy .* \(5 nodes answered; expected at least 6"
    ):
        exchange("moments", {})


def test_who_comes_twice_waits_and_who_comes_with_another_key_is_turned_away(served):
    grid, exchange, told = served(masked=False)
    grid.ids[77] = "node_1"
    assert list(exchange("inventory", {})) == NODES  # it may be the same one, whose earlier connection is not ended yet
    assert [event for event in told.events if event[0] != "joined"] == []
    grid, exchange, told = served(masked=False)
    grid.leave("node_1")
    grid.forget("node_1")
    (grid.folders["node_1"] / "node_1.key").unlink()
    grid.come("node_1")
    assert "node_1" not in exchange("inventory", {})
    assert "node_1 came back with another key than it had in this run" in [event[-1] for event in told.events]


@pytest.mark.parametrize("masked", [True, False])
def test_each_nodes_version_and_bytes_are_told(served, masked):
    _, exchange, told = served(masked=masked)
    exchange("moments", {})
    assert [event for event in told.events if event[0] == "joined"] == [("joined", n, __version__) for n in NODES]
    last = told.steps[-1]
    assert list(last["sent"]) == list(last["received"]) == NODES
    assert min(last["received"].values()) > 50
    assert sum(last["sent"].values()) == last["bytes"] > 50


def test_a_node_whose_program_does_not_tell_its_version_is_let_in(served):
    def silent(name, question, answer):
        if wire.unpack_question(question).step != wire.HELLO:
            return answer
        introduction = dataclasses.asdict(wire.unpack_introduction(answer))
        del introduction["version"]
        told = ConfigRecord({"bytes": packing.encode(introduction)})
        return Message(RecordDict({"told": told}), reply_to=question)

    _, exchange, told = served(masked=False, change=silent)
    assert list(exchange("moments", {})) == NODES
    assert told.events[0] == ("joined", "node_1", "")


def test_packing_keeps_every_bit():
    state = arrays(a=[0.1, -0.0, np.nan, np.inf], b=np.arange(6.0).reshape(2, 3).T)
    again = packing.arrays_of(packing.decode(packing.encode(packing.pieces(state)), dict[str, packing.Piece]))
    for name, array in state.items():
        assert again[name].shape == array.shape
        assert again[name].tobytes() == np.ascontiguousarray(array).tobytes()
    with pytest.raises(ValueError, match="cannot be read as Packed"):
        packing.decode(b"\xc1", packing.Packed)
