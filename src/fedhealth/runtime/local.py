"""The in-process runtime: every node in this process, each behind its own door."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedhealth.data.shard import Shard
from fedhealth.federation import Exchange, State
from fedhealth.privacy import is_summed_under_masks, policy_of
from fedhealth.runtime.node import Node
from fedhealth.runtime.secure import SecureExchange
from fedhealth.runtime.summing import Call, SummingNode
from fedhealth.study import Study


def exchange_in_process(
    study: Study, shards: Sequence[Shard], audit_folder: Path, data: Path | None = None, run: str = ""
) -> Exchange:
    """An exchange with nodes in this process, in the order of ``shards``; audit lines go to ``audit_folder``.

    ``data`` is the folder where a node's owner may have written limits (:func:`~fedhealth.privacy.policy_of`). Where
    the study asks for secure aggregation the nodes do it here too, so that every runtime gives the same numbers.
    ``run`` names the run: asked the same again by the same run, a node gives the same answer.

    Raises:
        PolicyError: such a file cannot be used.
    """
    nodes = [Node.behind_door(study, s, policy_of(study, s.node, data), audit_folder, data) for s in shards]
    plain: Exchange = lambda step, state: {node.name: node.answer(step, state, run=run) for node in nodes}  # noqa: E731
    if not is_summed_under_masks(study):
        return plain
    summing = {node.name: SummingNode(node, Ed25519PrivateKey.generate()) for node in nodes}

    def talk(calls: Mapping[str, Call], state: State) -> dict[str, bytes]:
        return {name: summing[name].hear(call, state) for name, call in calls.items()}

    return SecureExchange(study, 0, plain, talk, {name: node.public_key for name, node in summing.items()}, run)
