"""A node as one lasting process: takes messages from a SuperLink and answers them with the installed ClientApp.

Flower's own SuperNode starts a fresh Python process for every message and waits three seconds between looks: at
least five seconds a step, and a run takes some forty steps. This loop speaks the same protocol (Flower's Fleet API)
from within one process, and, unlike a SuperNode, never loads code that came over the network.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from flwr.app import Context, Message, RecordDict
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree, no_object_id_recompute
from flwr.supercore.inflatable.inflatable_utils import pull_and_inflate_object_from_tree, push_objects
from flwr.supernode.fleet_http_connection import http_request_response

from fedhealth.runtime.flower.client import NodeConfig, app
from fedhealth.runtime.flower.enrolment import Enrolment, make_known, node_keys
from fedhealth.runtime.flower.environment import FlowerError
from fedhealth.runtime.flower.pinned import check_plain
from fedhealth.runtime.flower.polling import pauses
from fedhealth.runtime.flower.wire import GOODBYE, TURNED_AWAY, unpack_question

LOST = 20.0  # seconds without the server before a node gives up


def serve_node(
    address: str, config: NodeConfig, on_joined: Callable[[], None], enrolment: Enrolment | None = None
) -> str:
    """Answer the server at ``address`` (host:port) until it says goodbye; give back how it says the run ended.

    With an ``enrolment`` the server is the one that it names, over TLS; without, it must be on this machine.

    Raises:
        FlowerError: the connection was lost, or the server does not let this node in.
    """
    if enrolment:
        address, security = enrolment.server, _security(enrolment, Path(config.data))
    else:
        check_plain(address)
        security = {"insecure": True}
    lost: Exception | None = None
    try:
        with http_request_response(address, max_wait_time=LOST, **security) as connection:
            on_joined()
            try:
                return _answer_until_goodbye(connection, config)
            except Exception as error:  # the connection would only log it
                lost = error
    except SystemExit:  # by Flower, whose log says why; of an enrolled node only one reason is left
        if not enrolment:
            raise
        raise FlowerError(
            f"{config.node}: an earlier connection of this node holds its place at {address}; it is free within a "
            "minute of its end"
        ) from None
    if isinstance(lost, FlowerError):
        raise lost
    raise FlowerError(f"{config.node} lost the server at {address}: {_reason(lost)}") from lost


def _security(enrolment: Enrolment, data: Path) -> dict[str, Any]:
    """What Flower's connection needs, once the server has said that it knows this node."""
    make_known(enrolment, data)
    logging.getLogger("flwr").setLevel(logging.CRITICAL)  # it would explain itself on half a page
    keys = node_keys(data, enrolment.node)
    return {"insecure": False, "root_certificates": enrolment.ca.encode(), "authentication_keys": keys}


def _reason(error: Exception | None) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.text
    return str(error)


# What flwr's Fleet connection hands out: node id and eight functions. It has no type of its own.
def _answer_until_goodbye(connection: tuple, config: NodeConfig) -> str:  # type: ignore[type-arg]
    node_id, receive, send, _, _, pull_object, push_object, confirm = connection
    waits = pauses()
    while True:
        received = receive()
        if received is None:
            time.sleep(next(waits))
            continue
        waits = pauses()
        run_id = received[0].metadata.run_id
        message = pull_and_inflate_object_from_tree(
            received[1],
            partial(pull_object, run_id),
            partial(confirm, run_id),
            return_type=Message,
            max_tries_per_object=None,
            initial_backoff=0.02,  # the server announces a message shortly before its arrays arrive
            backoff_cap=0.5,
        )
        message.metadata.__dict__["_message_id"] = received[1].object_id
        started = time.monotonic()
        reply = app(message, Context(run_id, node_id, asdict(config), RecordDict(), {}))
        _send(reply, send, partial(push_object, run_id), time.monotonic() - started)
        if (question := unpack_question(message)).step == GOODBYE:
            if question.text.startswith(TURNED_AWAY):
                raise FlowerError(question.text)
            return question.text


def _send(reply: Message, send: Callable, push_object: Callable, seconds: float) -> None:  # type: ignore[type-arg]
    reply.metadata.__dict__["_message_id"] = reply.object_id
    with no_object_id_recompute():
        wanted, session = send(reply, get_object_tree(reply), seconds)
        push_objects(get_all_nested_objects(reply), partial(push_object, session), object_ids_to_push=wanted)
