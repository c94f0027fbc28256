"""A whole round in one process, with whoever is lost on the way."""

from collections.abc import Collection, Mapping

from fedhealth.federation.contribution import Floats
from fedhealth.privacy.secure_aggregation.node import Member, NodeRound
from fedhealth.privacy.secure_aggregation.server import ServerRound

PHASES = ("letters", "masked", "signed", "shares")


def aggregate(
    members: Mapping[str, Member],
    values: Mapping[str, Floats],
    context: bytes,
    lost: Mapping[str, Collection[str]] | None = None,
) -> Floats:
    """The sum of ``values`` (each of shape ``(n,)``) by node name; ``lost`` names who is gone from a phase on.

    Those lost before ``signed`` (phases ``letters`` and ``masked``) are not in the sum.

    Raises:
        SecureAggregationError: a node or the server refused.
    """
    gone: set[str] = set()

    def there(phase: str) -> list[str]:
        gone.update((lost or {}).get(phase, ()))
        return [name for name in members if name not in gone]

    nodes = {name: NodeRound(member, context) for name, member in members.items()}
    server = ServerRound(context, [node.keys() for node in nodes.values()], len(members))
    keys = list(server.keys.values())
    letters = [letter for name in there("letters") for letter in nodes[name].letters(keys)]
    passed = server.pass_on(letters)
    arrived = server.arrived([nodes[name].masked(passed[name], values[name]) for name in there("masked")])
    signed = [nodes[name].signed(arrived) for name in there("signed")]
    return server.total([nodes[name].shares(signed) for name in there("shares")])
