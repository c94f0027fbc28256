"""Faults in a training run between processes, and what they cost: nothing may be lost, done twice or paid for twice.

Every case starts a server and three nodes (``fedhealth node run``, a logistic model, secure aggregation on), waits
until the run reaches a phase, and injects one fault; where the server ended, the same command goes on with --resume.
The hash of the bundle must be that of the run without faults. Cases with noise check the nodes' ledgers instead, since
noise is never the same twice: what is paid for must be the budget.

    python benchmarks/faults.py [--only KIND ...] [--phases PHASE ...] [--json FILE]

What must be refused from the start (keys, certificates, names) is tested in tests/runtime/test_enrolment.py, and what
no honest node could send in tests/runtime/test_participants.py. The full disk needs root.
"""

import argparse
import json
import os
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil
from processes import Processes
from rich.console import Console
from rich.table import Table

from fedhealth.data.synthetic import write_world
from fedhealth.privacy import Budget
from fedhealth.runtime.events import read_log
from fedhealth.runtime.ports import free_port

TOP = Path(__file__).parents[1]
NODES = ("node_1", "node_2", "node_3")
PHASES = {"statistics": "columns", "rounds": "newton", "evaluation": "local_baseline"}
NOISY = {"statistics": "private_products", "rounds": "private_gradient", "evaluation": "private_scores"}
PATIENCE, LIMIT = 240, 420.0  # seconds

# What Python runs first in the node and in all that it starts: every way to ask for the time of day is an hour behind.
CLOCK_BEHIND = """
import datetime, time

now, now_ns, real = time.time, time.time_ns, datetime.datetime
time.time = lambda: now() - 3600
time.time_ns = lambda: now_ns() - 3600 * 10**9

class Behind(real):
    @classmethod
    def now(cls, tz=None):
        return real.now(tz) - datetime.timedelta(hours=1)

    @classmethod
    def utcnow(cls):
        return real.utcnow() - datetime.timedelta(hours=1)

datetime.datetime = Behind
"""


class Link:
    """A TCP proxy between nodes and server, which can cut, delay and throttle."""

    def __init__(self, port: int) -> None:
        self.target, self.delay, self.rate, self.cut = port, 0.0, 0.0, False
        self.door = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.door.getsockname()[1])
        self.open: set[socket.socket] = set()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                inside, _ = self.door.accept()
                if self.cut:
                    inside.close()
                    continue
                outside = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                if self.door.fileno() < 0:
                    return
                continue
            self.open |= {inside, outside}
            for pair in ((inside, outside), (outside, inside)):
                threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, start: socket.socket, end: socket.socket) -> None:
        with suppress(OSError):
            while piece := start.recv(65_536):
                time.sleep(self.delay + (len(piece) / self.rate if self.rate else 0.0))
                end.sendall(piece)
        for one in (start, end):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
            self.open.discard(one)

    def drop(self, seconds: float) -> None:
        """Cut every connection, and let none through for so long."""
        self.cut = True
        for one in list(self.open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        time.sleep(seconds)
        self.cut = False


class Scene(Processes):
    """A server, its nodes, and the network between them."""

    def __init__(self, folder: Path, noisy: bool, on_the_line: bool) -> None:
        super().__init__(folder)
        self.data, self.runs, self.noisy, self.port = folder / "data", folder / "runs", noisy, free_port()
        self.link = Link(self.port) if on_the_line else None

    def start_server(self, *more: str, **settings: str) -> None:
        """Start the server; ``more`` are options of its command."""
        model = ["--model", "logistic", *(["--epsilon", "3"] if self.noisy else [])]
        place = ["--port", str(self.port), "--runs", str(self.runs), "--models", str(self.folder / "models")]
        wait = ["--wait", str(PATIENCE), "--deadline", "60"]
        self.start("server", sys.executable, str(TOP / "fl/server.py"), *model, *place, *wait, *more, **settings)

    def start_node(self, name: str, **settings: str) -> None:
        """Start a node with its supervisor."""
        port = str(self.link.port if self.link else self.port)
        options = ["--data", str(self.data), "--runs", str(self.runs), "--port", port, "--auto-approve"]
        self.start(name, sys.executable, "-m", "fedhealth", "node", "run", name, *options, **settings)

    def wait_for_step(self, step: str) -> None:
        """Until the nodes have answered some of this step, or the server ended."""
        until = time.monotonic() + LIMIT
        while time.monotonic() < until and self.children["server"].poll() is None:
            if any(f'"step": "{step}"' in log.read_text() for log in self.runs.glob("started/*/log.jsonl")):
                return
            time.sleep(0.05)
        raise TimeoutError(f"no step {step!r}: {self.screen('server')[-500:]}")

    def wait_for(self, name: str, text: str) -> None:
        """Until a process has printed this."""
        until = time.monotonic() + 60
        while text not in self.screen(name):
            if time.monotonic() > until:
                raise TimeoutError(f"{name} does not say {text!r}: {self.screen(name)[-500:]}")
            time.sleep(0.1)

    def wait_for_server(self) -> int:
        """The server's exit code, once it has ended."""
        return self.children["server"].wait(timeout=LIMIT)

    def processes_of(self, name: str) -> list[psutil.Process]:
        """The processes that this one started, and those that they did."""
        return psutil.Process(self.children[name].pid).children(recursive=True)

    def superlink(self) -> psutil.Process:
        """Flower's SuperLink, a child of the server in a group of its own."""
        return next(one for one in self.processes_of("server") if "superlink" in " ".join(one.cmdline()))

    def rounds(self) -> list[int]:
        """The rounds in the run's log, as they were told (none under differential privacy)."""
        events = [event for log in self.runs.glob("started/*/log.jsonl") for event in read_log(log)]
        return [event["round"] for event in events if event["event"] == "round"]

    def bundle(self) -> str:
        """The version of the bundle that the run left."""
        found = [path.name.split("-")[-1] for path in self.runs.glob("health-risk-*")]
        return found[0] if len(found) == 1 else ", ".join(found) or "none"

    def overspent(self) -> float:
        """By how much the node that paid most exceeds the budget, in epsilon's mu; 0 if none does."""
        found = []
        for name in NODES:
            with closing(sqlite3.connect(self.data / f"{name}.ledger.sqlite")) as store:
                found.append(store.execute("SELECT sum(mu * mu) FROM answers").fetchone()[0] ** 0.5)
        return max(0.0, round(max(found) - Budget(3.0).mu, 9))


Fault = Callable[[Scene], None]
"""Inject it, and do what an operator would do then."""


def server_killed(scene: Scene) -> None:
    """The server and its SuperLink are gone at once."""
    link = scene.superlink()
    scene.signal("server")
    link.kill()
    scene.children["server"].wait()
    scene.start_server("--resume")


def superlink_killed(scene: Scene) -> None:
    """Flower's part of the server is gone."""
    scene.superlink().kill()
    if scene.wait_for_server():
        scene.start_server("--resume")


def server_stopped(scene: Scene) -> None:
    """The operator stops the server."""
    scene.signal("server", signal.SIGINT)
    scene.wait_for_server()
    scene.start_server("--resume")


def node_killed(scene: Scene) -> None:
    """A node and what keeps it running are gone; it is started again."""
    scene.signal("node_2")
    scene.children["node_2"].wait()
    scene.start_node("node_2")


def worker_killed(scene: Scene) -> None:
    """The process that answers for the node is killed; its supervisor starts another."""
    for process in scene.processes_of("node_2"):
        process.kill()


def node_frozen(scene: Scene) -> None:
    """A node does nothing for a while."""
    scene.signal("node_3", signal.SIGSTOP)
    time.sleep(15)
    scene.signal("node_3", signal.SIGCONT)


def connection_cut(scene: Scene) -> None:
    """No connection lives, and none can be made, for a while."""
    assert scene.link
    scene.link.drop(5)


def connection_slow(scene: Scene) -> None:
    """Every packet takes longer, to the end."""
    assert scene.link
    scene.link.delay = 0.05


def connection_throttled(scene: Scene) -> None:
    """The line is narrow, to the end."""
    assert scene.link
    scene.link.rate = 300_000.0  # bytes a second


def node_refuses(scene: Scene) -> None:
    """An owner limits what a node answers while it takes part: the run ends with its name, and goes on once it may."""
    policy = scene.data / "node_1.policy.toml"
    policy.write_text('steps = ["inventory"]\n')
    scene.signal("node_1")
    scene.children["node_1"].wait()
    scene.start_node("node_1")
    scene.wait_for_server()
    assert "node_1" in scene.screen("server")
    policy.unlink()
    scene.signal("node_1")
    scene.children["node_1"].wait()
    scene.start_node("node_1")
    scene.start_server("--resume")


def ledger_gone(scene: Scene) -> None:
    """A node's ledger cannot be used: nothing leaves; once it is back the run goes on."""
    ledger = scene.data / "node_3.ledger.sqlite"
    kept = ledger.read_bytes() if ledger.exists() else None
    ledger.unlink(missing_ok=True)
    ledger.mkdir()
    code = scene.wait_for_server()
    ledger.rmdir()
    if kept is not None:
        ledger.write_bytes(kept)
    if code:
        scene.start_server("--resume")


def disk_full(scene: Scene) -> None:
    """The disk of the server's runs is full; then there is room again."""
    filler = scene.runs / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    scene.wait_for_server()
    filler.unlink()
    assert "make room" in scene.screen("server"), scene.screen("server")[-600:]
    scene.start_server("--resume")


def clock_skewed(scene: Scene) -> None:
    """A node comes back with a clock an hour behind: it stays out and says why, until its clock is set."""
    scene.signal("node_2")
    scene.children["node_2"].wait()
    (scene.folder / "sitecustomize.py").write_text(CLOCK_BEHIND)
    scene.start_node("node_2", PYTHONPATH=os.pathsep.join([str(scene.folder), os.environ.get("PYTHONPATH", "")]))
    scene.wait_for("node_2", "s off the server's; set both")
    scene.signal("node_2")
    scene.children["node_2"].wait()
    scene.start_node("node_2")


KINDS: dict[str, Fault] = {
    "kill -9 of the server": server_killed,
    "kill -9 of the SuperLink": superlink_killed,
    "Ctrl-C at the server": server_stopped,
    "kill -9 of a node and its supervisor": node_killed,
    "kill -9 of a node's process": worker_killed,
    "a node frozen for 15 s": node_frozen,
    "connections cut for 5 s": connection_cut,
    "50 ms on every packet": connection_slow,
    "300 kB a second": connection_throttled,
    "an owner refuses": node_refuses,
    "a ledger that cannot be used": ledger_gone,
    "a full disk": disk_full,
    "a clock an hour behind": clock_skewed,
}
ON_THE_LINE = (connection_cut, connection_slow, connection_throttled)
SMALL_DISK = 48  # MB, of the server's runs where the disk will be full


@contextmanager
def scene(noisy: bool, on_the_line: bool = False, small_disk: bool = False) -> Iterator[Scene]:
    """Fresh tables, a server and three nodes; all ended with the block. A small disk needs root, to mount it."""
    with tempfile.TemporaryDirectory(prefix="fedhealth-faults-") as folder:
        place = Scene(Path(folder), noisy, on_the_line)
        write_world(place.data, 800, 7)
        place.runs.mkdir()
        if small_disk:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}m", "tmpfs", place.runs], check=True)
        try:
            place.start_server()
            for node in NODES:
                place.start_node(node)
            yield place
        finally:
            place.end()
            if place.link:
                place.link.door.close()
            if small_disk:
                subprocess.run(["umount", place.runs], check=True)


def without_fault() -> tuple[str, list[int], float]:
    """The hash, the rounds and the seconds of a run without faults."""
    with scene(False) as place:
        started = time.monotonic()
        assert place.wait_for_server() == 0, place.screen("server")
        return place.bundle(), place.rounds(), time.monotonic() - started


def one_case(kind: str, phase: str, noisy: bool, expected: str, whole: list[int]) -> dict[str, object]:
    """Run one case, which without noise must give the bundle ``expected`` after the ``whole`` rounds; its line."""
    fault = KINDS[kind]
    with scene(noisy, fault in ON_THE_LINE, fault is disk_full) as place:
        place.wait_for_step((NOISY if noisy else PHASES)[phase])
        injected = time.monotonic()
        fault(place)
        code = place.wait_for_server()
        seconds = time.monotonic() - injected
        rounds = place.rounds()
        return {
            "fault": kind,
            "phase": phase + (", with noise" if noisy else ""),
            "injected": 1,
            "ended": code == 0,
            "rounds_lost": 0 if noisy else len(set(whole) - set(rounds)),
            "rounds_duplicated": len(rounds) - len(set(rounds)),
            "overspent": place.overspent() if noisy else 0.0,
            "seconds": round(seconds, 1),
            "same_hash": None if noisy else place.bundle() == expected,
            "said": "" if code == 0 else place.screen("server")[-400:],
        }


def main() -> None:
    """Run the cases, print the table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=[*KINDS], default=[*KINDS], metavar="KIND")
    parser.add_argument("--phases", nargs="*", choices=[*PHASES], default=[*PHASES])
    parser.add_argument("--noisy", action="store_true", help="Under differential privacy: check what nodes paid.")
    parser.add_argument("--json", type=Path)
    asked, console = parser.parse_args(), Console()
    expected, whole, seconds = without_fault()
    console.print(f"Without faults: bundle {expected} after {seconds:.0f} s")
    found = []
    for kind in asked.only:
        for phase in asked.phases:
            try:
                found.append(one_case(kind, phase, asked.noisy, expected, whole))
            except Exception as error:  # the other cases are run all the same
                found.append(
                    {"fault": kind, "phase": phase, "ended": False, "said": f"{type(error).__name__}: {error}"}
                )
            console.print(found[-1])
    console.print(table(found, seconds))
    if asked.json:
        asked.json.write_text(json.dumps({"seconds_without": seconds, "cases": found}, indent=1) + "\n")


def table(found: list[dict], seconds: float) -> Table:
    """A line for each kind of fault over its phases."""
    shown = Table(
        "fault",
        "cases",
        "ended",
        "rounds lost",
        "duplicated",
        "overspent",
        "recovery p50 s",
        "p95 s",
        "hash equal",
        box=None,
    )
    for kind in dict.fromkeys(line["fault"] for line in found):
        lines = [line for line in found if line["fault"] == kind]
        took = sorted(line.get("seconds", float("inf")) for line in lines)
        equal = [line["same_hash"] for line in lines if line.get("same_hash") is not None]
        shown.add_row(
            kind,
            str(len(lines)),
            f"{sum(line['ended'] for line in lines)}/{len(lines)}",
            str(sum(line.get("rounds_lost", 1) for line in lines)),
            str(sum(line.get("rounds_duplicated", 0) for line in lines)),
            f"{max(line.get('overspent', 0.0) for line in lines):g}",
            f"{statistics.median(took):.0f}",
            f"{took[min(len(took) - 1, int(0.95 * len(took)))]:.0f}",
            f"{sum(equal)}/{len(equal)}" if equal else "–",
        )
    return shown


if __name__ == "__main__":
    main()
