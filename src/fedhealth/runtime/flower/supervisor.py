"""Keep a node available: one process after another takes part, and whatever ends one, the next one follows."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fedhealth.runtime.flower.enrolment import enrolment_of, make_known
from fedhealth.runtime.flower.environment import FlowerError
from fedhealth.runtime.flower.pinned import check_plain

SHORTEST, LONGEST = 2.0, 30.0  # seconds between tries; they double while the reason is the same


def keep_available(
    node: str,
    data: Path,
    address: str,
    work: Callable[..., None],
    settings: tuple[Any, ...],
    say: Callable[[str], None],
) -> None:
    """Let ``node`` take part in run after run, until this process is interrupted.

    Args:
        node: its name.
        data: the folder with its table, and its enrolment if it has one.
        address: the server's (host:port) of a node that is not enrolled.
        work: takes part in one run, with ``settings``, in a process of its own; both can be pickled.
        settings: the arguments of ``work``.
        say: told why there is a wait, and how long, in a line.
    """
    wait, before = SHORTEST, ""
    while True:
        try:
            _check_server(node, data, address)
            code = _run(work, settings)
            why = "" if code == 0 else f"its process ended ({_how(code)})"
        except FlowerError as error:
            why = str(error)
        wait, before = (min(2 * wait, LONGEST) if why and why == before else SHORTEST), why
        if why:
            say(f"{node}: {why.removeprefix(f'{node}: ')}; trying again in {wait:.0f} s")
        time.sleep(wait)


def _check_server(node: str, data: Path, address: str) -> None:
    """Look whether the server is up and would let the node in, before a process is started for it."""
    enrolment = enrolment_of(data, node)
    if enrolment:
        make_known(enrolment, data)
    else:
        check_plain(address)


def _run(work: Callable[..., None], settings: tuple[Any, ...]) -> int:
    process = multiprocessing.get_context("spawn").Process(target=_with_parent, args=(work, settings))
    process.start()
    try:
        process.join()
    except BaseException:
        process.terminate()
        process.join()
        raise
    return int(process.exitcode or 0)


def _with_parent(work: Callable[..., None], settings: tuple[Any, ...]) -> None:
    """Do the work; end with the supervisor, however that ends, so that two never hold one node's place."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    work(*settings)


def _how(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
