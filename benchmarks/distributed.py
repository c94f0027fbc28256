"""A round between processes: ours, with and without secure aggregation, beside stock Flower with the same model.

Every node is a process of its own on this machine, and so is Flower's SuperLink. Ours: ``fl/server.py`` and
``fl/client_node*.py``, an additive model by Newton's method; a round is one step of it and its evaluation at every
node. Stock: Flower's own SuperNodes and ``flwr run``, whose ServerApp asks the same nodes for the same Newton step by
``Grid.send_and_receive``; a round is that alone. All in one run, so that only ratios matter.

    python benchmarks/distributed.py [--rows 2000] [--rounds 4] [--nodes 30] [--json FILE]

With ``--nodes`` also a federation of so many nodes under secure aggregation: seconds, memory of all processes together,
and bytes that a node sends in a round.
"""

import argparse
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import numpy as np
from processes import Processes, processes
from rich.console import Console
from rich.table import Table

from fedhealth.data.dataset import load_dataset
from fedhealth.data.synthetic import write_world
from fedhealth.federation import exchange_within, fit
from fedhealth.runtime.flower.environment import SETTINGS
from fedhealth.runtime.ports import free_port
from fedhealth.study import load_study

TOP = Path(__file__).parents[1]
BUILTIN = (TOP / "src/fedhealth/study/builtin/health-risk.toml").read_text(encoding="utf-8")
LIMIT = 900.0  # seconds

STOCK_CLIENT = """
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.clientapp import ClientApp

from fedhealth.data.dataset import read_own_shard
from fedhealth.federation import STEPS
from fedhealth.study import load_study

app = ClientApp()


@app.train()
def train(message, context):
    study = load_study(context.node_config["study"])
    shard = read_own_shard(study, context.node_config["node"], Path(context.node_config["data"]), 0)
    state = {name: array.numpy() for name, array in message.content["state"].items()}
    sums = STEPS["newton"](study, state, shard).sums
    record = ArrayRecord({name: Array(np.atleast_1d(array)) for name, array in sums.items()})
    return Message(RecordDict({"sums": record}), reply_to=message)
"""

STOCK_SERVER = """
import json
import time
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.serverapp import ServerApp

app = ServerApp()


@app.main()
def main(grid, context):
    settings = context.run_config
    state = dict(np.load(settings["state"]))
    while len(list(grid.get_node_ids())) < settings["nodes"]:
        time.sleep(0.2)
    took = []
    for _ in range(settings["rounds"]):
        begun = time.monotonic()
        record = ArrayRecord({name: Array(np.asarray(array)) for name, array in state.items()})
        messages = [Message(RecordDict({"state": record}), node, "train") for node in grid.get_node_ids()]
        replies = list(grid.send_and_receive(messages, timeout=300))
        assert len(replies) == settings["nodes"] and not any(reply.has_error() for reply in replies)
        took.append(time.monotonic() - begun)
    Path(settings["out"]).write_text(json.dumps(took))
"""

STOCK_PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "stock"
version = "1.0.0"
[tool.flwr.app]
publisher = "benchmark"
[tool.flwr.app.components]
serverapp = "stock_server:app"
clientapp = "stock_client:app"
[tool.flwr.app.config]
rounds = {rounds}
nodes = 3
state = "{state}"
out = "{out}"
"""


class Memory:
    """The most memory that processes and their children held together, in bytes, while the block ran."""

    def __init__(self, own: Processes) -> None:
        self.own, self.peak, self._done = own, 0, threading.Event()

    def __enter__(self) -> "Memory":
        threading.Thread(target=self._look, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()

    def _look(self) -> None:
        while not self._done.wait(2.0):
            groups = {child.pid for child in self.own.children.values()}
            pages = 0
            for stat in Path("/proc").glob("[0-9]*/stat"):
                with suppress(OSError, ValueError):
                    fields = stat.read_text().rsplit(") ", 1)[1].split()
                    if int(fields[2]) in groups or int(fields[1]) in groups:
                        pages += int(fields[21])
            self.peak = max(self.peak, pages * os.sysconf("SC_PAGE_SIZE"))


def study_of(folder: Path, nodes: int, policy: str) -> tuple[Path, list[str]]:
    """A study file with so many nodes, each with a table like one of the built-in study's; and their names."""
    sections = BUILTIN.split("[[node]]")[1:]
    text, names = f'policy = "{policy}"\n' + BUILTIN.split("[[node]]")[0], []
    for k in range(nodes):
        name = f"node_{k + 1}"
        text += "[[node]]" + sections[k % 3].replace(f"node_{k % 3 + 1}", name)
        if k >= 3:
            shutil.copytree(folder / "data" / f"node_{k % 3 + 1}", folder / "data" / name)
        names.append(name)
    path = folder / f"{policy}-{nodes}.toml"
    path.write_text(text, encoding="utf-8")
    return path, names


def ours(rows: int, policy: str, nodes: int = 3, model: str = "additive") -> dict[str, float]:
    """Seconds of a run and of its rounds, and the bytes that nodes send, from the run's own log."""
    with processes() as own, Memory(own) as memory:
        write_world(own.folder / "data", rows, 7)
        study, names = study_of(own.folder, nodes, policy)
        common = ["--study", str(study), "--port", str(free_port()), "--runs", str(own.folder / "runs")]
        server = own.start("server", sys.executable, str(TOP / "fl/server.py"), "--model", model, *common)
        code = "import sys, typer; from fedhealth.cli.client import client; typer.run(client(sys.argv.pop(1)))"
        data = ["--data", str(own.folder / "data"), "--auto-approve"]
        for name in names:
            own.start(name, sys.executable, "-c", code, name, *data, *common)
        if server.wait(timeout=LIMIT):
            raise RuntimeError(own.screen("server")[-2000:])
        log = next((own.folder / "runs").glob("started/*/log.jsonl"))
        events = [json.loads(line) for line in log.read_text().splitlines()]
    at = {event["event"]: _seconds(event) for event in events}
    ready = max(_seconds(event) for event in events if event["event"] == "joined")
    rounds = [_seconds(event) for event in events if event["event"] == "round"]
    steps = [event for event in events if event["event"] == "step" and event["step"] == "newton"]
    sent = [event["bytes"] for event in steps if event["round"]]  # before round 1 the smoothness is searched for
    return {
        "total": at["finished"] - ready,
        "rounds": float(len(rounds)),
        "round": (rounds[-1] - rounds[0]) / (len(rounds) - 1),
        "bytes_per_node_and_round": sum(sent) / nodes / (len(rounds) - 1),
        "peak_memory": float(memory.peak),
    }


def _seconds(event: dict[str, str]) -> float:
    return datetime.fromisoformat(event["time"]).timestamp()


def stock(rows: int, rounds: int) -> dict[str, float]:
    """Seconds of a round with Flower's own SuperNodes, for the same Newton step."""
    with processes() as own:
        write_world(own.folder / "data", rows, 7)
        study, names = study_of(own.folder, 3, "research")
        loaded, states = load_study(str(study)), []
        inner = exchange_within(load_dataset(loaded, own.folder / "data", 0).shards, loaded)

        def listening(step, state):
            if step == "newton":
                states.append(state)
            return inner(step, state)

        fit(loaded, listening, penalty=(30.0, 3.0))
        np.savez(own.folder / "state.npz", **states[-1])
        place, out = own.folder / "app", own.folder / "took.json"
        place.mkdir()
        (place / "stock_server.py").write_text(STOCK_SERVER)
        (place / "stock_client.py").write_text(STOCK_CLIENT)
        values = {"rounds": rounds, "state": own.folder / "state.npz", "out": out}
        (place / "pyproject.toml").write_text(STOCK_PROJECT.format(**values))
        home, port = own.folder / "home", free_port()
        home.mkdir()
        (home / "config.toml").write_text(f'[superlink.here]\naddress = "127.0.0.1:{port}"\ninsecure = true\n')
        bin_ = Path(sys.executable).parent
        found = {**SETTINGS, "FLWR_HOME": str(home), "PATH": f"{bin_}:{os.environ['PATH']}"}
        link = [str(bin_ / "flower-superlink"), "--insecure", "--host", "127.0.0.1", "--port", str(port)]
        own.start("superlink", *link, **found)
        time.sleep(8)
        for name in names:
            config = f'node="{name}" study="{study}" data="{own.folder / "data"}"'
            node = [str(bin_ / "flower-supernode"), "--insecure", "--superlink", f"127.0.0.1:{port}"]
            node += ["--host", "127.0.0.1", "--port", str(free_port()), "--node-config", config]
            own.start(name, *node, **found)
        own.start("run", str(bin_ / "flwr"), "run", str(place), "here", "--stream", **found)
        until = time.monotonic() + LIMIT
        while not out.is_file():
            over = [name for name, child in own.children.items() if child.poll()]
            if over or time.monotonic() > until:
                raise RuntimeError("".join(own.screen(name)[-1500:] for name in over or ("run", "superlink")))
            time.sleep(0.5)
        time.sleep(0.5)
        took = json.loads(out.read_text())
    return {"round": sum(took[1:]) / len(took[1:]), "rounds": float(rounds)}


def main() -> None:
    """Run all, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000, help="Rows of each node.")
    parser.add_argument("--rounds", type=int, default=4, help="Rounds of stock Flower, the first of which is left out.")
    parser.add_argument("--nodes", type=int, default=0, help="Also a federation of so many nodes.")
    parser.add_argument("--json", type=Path)
    asked, console = parser.parse_args(), Console()
    measured: dict[str, Callable[[], dict[str, float]]] = {
        "ours": lambda: ours(asked.rows, "research"),
        "ours, secure aggregation": lambda: ours(asked.rows, "default"),
        "stock Flower": lambda: stock(asked.rows, asked.rounds),
    }
    if asked.nodes:
        measured[f"ours, secure aggregation, {asked.nodes} nodes"] = lambda: ours(asked.rows, "default", asked.nodes)
    found = {}
    for name, measure in measured.items():
        with console.status(name):
            found[name] = measure()
    console.print(table(found))
    plain, secure, usual = list(found.values())[:3]
    shares = (f"{one['round'] / usual['round']:.2f}" for one in (plain, secure))
    console.print("A round takes {} of stock Flower's; {} with secure aggregation".format(*shares))
    console.print(f"Training takes {secure['total'] / plain['total']:.1f} times as long with secure aggregation")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")


def table(found: dict[str, dict[str, float]]) -> Table:
    """A line for each."""
    shown = Table("", "seconds a round", "rounds", "seconds in all", "kB a node and round", "peak memory, GB", box=None)
    for name, one in found.items():
        rest: Sequence[str] = ("–",) * 3
        if "total" in one:
            rest = (
                f"{one['total']:.0f}",
                f"{one['bytes_per_node_and_round'] / 1e3:.0f}",
                f"{one['peak_memory'] / 1e9:.1f}",
            )
        shown.add_row(name, f"{one['round']:.2f}", f"{one['rounds']:.0f}", *rest)
    return shown


if __name__ == "__main__":
    main()
