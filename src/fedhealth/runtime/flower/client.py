"""A node's side: ``app`` answers the server's questions from the node's own rows, through the node's own door.

Settings come from the node's own configuration, never from the server: ``node`` (its name), ``study`` (a built-in
name or a TOML file), ``outcome`` (empty: the study's first), ``data`` (the folder with its table), ``runs`` (where its
audit log goes), ``approved`` (the hash of the study that the owner approved; empty: any).
"""

import sys
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp

from fedhealth import __version__
from fedhealth.data.dataset import read_own_shard
from fedhealth.data.generated import is_synthetic
from fedhealth.federation import STEPS
from fedhealth.privacy import AuditError, Policy, PolicyError, PolicyRefusal, policy_of
from fedhealth.privacy.secure_aggregation import SecureAggregationError, UnfitError, identity
from fedhealth.runtime.flower.environment import FlowerError
from fedhealth.runtime.flower.wire import (
    GOODBYE,
    HELLO,
    Introduction,
    Question,
    pack_body,
    pack_contribution,
    pack_introduction,
    unpack_question,
)
from fedhealth.runtime.node import Node
from fedhealth.runtime.summing import Past, SummingNode
from fedhealth.study import Study, StudyError, load_study

OF_THE_OWNER = PolicyRefusal, PolicyError, AuditError  # a limit, a file or a log of this node's owner stands against it
REFUSAL = 1  # the code of an answer that only says why there is none

app = ClientApp()


@dataclass(frozen=True)
class NodeConfig:
    """A node's own settings; see the top of this module."""

    node: str
    study: str
    data: str
    runs: str
    outcome: str = ""
    approved: str = ""

    @classmethod
    def read(cls, context: Context) -> "NodeConfig":
        """The settings in Flower's node configuration.

        Raises:
            KeyError: names the one that is missing.
        """
        given = context.node_config
        wanted = {name: str(given[name]) for name in ("node", "study", "data", "runs")}
        return cls(**wanted, outcome=str(given.get("outcome", "")), approved=str(given.get("approved", "")))


@app.query()
def answer(message: Message, context: Context) -> Message:
    """The node's contribution to one step, or the reason why it gives none."""
    try:
        content = respond(unpack_question(message), NodeConfig.read(context))
    except Exception as error:  # whatever a server may ask, the node stays, and says no more than it may
        return Message(Error(REFUSAL, _reason(error)), reply_to=message)
    return Message(content, reply_to=message)


def _reason(error: Exception) -> str:
    """What the server is told. Texts that may hold a cell or a count of this node stay here, on its own terminal."""
    of_the_server = isinstance(error, FlowerError | StudyError | SecureAggregationError | ImportError)
    if of_the_server and not isinstance(error, UnfitError):
        return str(error)
    print(f"refused: {error}", file=sys.stderr, flush=True)
    if isinstance(error, OF_THE_OWNER):
        return "its policy or its audit log does not let this answer out; see the node's own terminal"
    return "its data cannot be used; see the node's own terminal"


def respond(question: Question, config: NodeConfig) -> RecordDict:
    """Answer one question.

    Raises:
        FlowerError: the server means another study, or asks for a step that there is not.
        PolicyRefusal: the node's policy does not let the answer out.
        DataError: the node's table cannot be used.
    """
    if question.step == GOODBYE:
        return RecordDict()
    study = load_study(config.study, config.outcome or None)
    _check_study(question, study, config)
    data = Path(config.data)
    policy = policy_of(study, config.node, data)  # read every time: what its owner changes holds from the next step
    summing = _summing(config, study.hash, question.seed, policy)
    if question.step == HELLO:
        synthetic = is_synthetic(study.node(config.node), data)
        introduction = Introduction(config.node, synthetic, summing.public_key, policy.hash, __version__)
        return pack_introduction(introduction)
    if question.step not in STEPS:
        raise FlowerError(f"{config.node} refused step {question.step!r}; it knows {', '.join(STEPS)}")
    if question.call:
        return pack_body(summing.hear(question.call, question.state))
    return pack_contribution(question, summing.node.answer(question.step, question.state, run=question.run))


def _check_study(question: Question, study: Study, config: NodeConfig) -> None:
    node = config.node
    if config.approved not in ("", study.hash):
        raise FlowerError(
            f"{node} refused: its study file was changed since it started; its operator must start it anew"
        )
    if question.study_hash != study.hash:
        raise FlowerError(
            f"{node} refused: it takes part in study {study.name!r} (hash {study.hash[:12]}), but the server's has "
            f"hash {question.study_hash[:12]}; start both with the same --study"
        )


@lru_cache(maxsize=1)
def _summing(config: NodeConfig, study_hash: str, seed: int, policy: Policy) -> SummingNode:
    """The node's rows behind its door, read once per process, study and policy."""
    study, data = load_study(config.study, config.outcome or None), Path(config.data)
    shard = read_own_shard(study, config.node, data, seed)
    node = Node.behind_door(study, shard, policy, Path(config.runs) / "audit", data)
    known = partial(identity.check_peers, identity.peers_file(data, config.node), config.node)
    return SummingNode(node, identity.own_key(identity.key_file(data, config.node)), seed, known, _past(config.node))


@cache
def _past(node: str) -> Past:
    return Past()
