"""Promotions and rollbacks while the API is under load: no failed request, no answer whose score is not its version's.

A server in a process of its own answers ``/predict`` on the loopback; clients with a connection each ask about made-up
people as fast as they get answers, while the served model is promoted and rolled back in turn. Every answer is held
against what the version that it names gives for that person.

    python benchmarks/hot_swap.py --changes 10 --clients 4 --json hot_swap.json
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fedhealth.runtime.ports import free_port

ROOT = Path(__file__).parents[1]
PATIENCE = 60.0  # seconds to wait for the server, and for a new version to answer
PAUSE = 0.3  # seconds of load between two changes
PEOPLE = 40
SAME = 1e-12  # two processes may differ in the last bit of a sum


@dataclass
class Seen:
    """What one client saw: how many answers, what was wrong, how long each took in seconds."""

    answers: int = 0
    failed: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    version: str = ""


def prepare(folder: Path) -> tuple[Path, Path]:
    """A folder with the demo model as champion, and one with another model of the same study, less calibrated."""
    from fedhealth.model import RiskModel
    from fedhealth.registry import load_signed, publish, write_bundle

    demo = load_signed(ROOT / "models")
    publish(ROOT / "models", folder / "models", reason="to begin with")
    arrays = demo.model.arrays() | {"calibration": np.array([0.7, 0.8])}
    other = RiskModel.from_arrays(demo.study, arrays)
    write_bundle(folder / "other", demo.study, other, demo.reference, dict(demo.facts), "# Made for a benchmark\n")
    return folder / "models", folder / "other"


def people(folders: list[Path]) -> tuple[list[bytes], dict[str, list[float]]]:
    """Bodies of made-up people, and by version the risks that they must be given."""
    from fedhealth.registry import load_bundle
    from fedhealth.serving.predictor import Predictor
    from fedhealth.serving.schema import PredictionBody

    bundles = [load_bundle(folder) for folder in folders]
    rng, numbers = np.random.default_rng(0), [f for f in bundles[0].study.features if f.kind == "number"]
    drawn = [{f.name: round(float(rng.uniform(f.low, f.high)), 2) for f in numbers} for _ in range(PEOPLE)]
    expected = {}
    for bundle in bundles:
        predictor = Predictor(bundle, PredictionBody(bundle.study))
        expected[bundle.version] = [predictor.predict(one)["risk_score"] for one in drawn]
    return [json.dumps(one).encode() for one in drawn], expected


@contextmanager
def serving(models: Path) -> Iterator[int]:
    """A server over ``models`` in a process of its own; its port."""
    port = free_port()
    settings = {"DATABASE_URL": f"sqlite:///{models.parent / 'store.db'}", "FEDHEALTH_API_KEY": "a key for a benchmark"}
    settings["FEDHEALTH_RATE"] = "1000000"  # requests a second of one caller
    command = [sys.executable, "-m", "fedhealth", "serve", "--models", str(models), "--port", str(port)]
    log = models.parent / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={**os.environ, **settings}, stdout=output, stderr=output)
    try:
        _wait(lambda: _answers(port), f"the server did not start: {log}")
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _wait(true: Any, otherwise: str) -> float:
    start = time.perf_counter()
    while not true():
        if time.perf_counter() - start > PATIENCE:
            raise SystemExit(otherwise)
        time.sleep(0.01)
    return time.perf_counter() - start


def ask(port: int, bodies: list[bytes], expected: Mapping[str, list[float]], seen: Seen, stop: threading.Event) -> None:
    """One client: ask about one person after another until ``stop``, and judge every answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        while not stop.is_set():
            person, start = seen.answers % len(bodies), time.perf_counter()
            status, content = _asked(connection, bodies[person])
            seen.seconds.append(time.perf_counter() - start)
            seen.answers += 1
            if status != 200:
                seen.failed.append(f"{status}: {content.get('detail')}")
                continue
            seen.version = content["model_version"]
            risks = expected.get(seen.version)
            if risks is None or abs(risks[person] - content["risk_score"]) > SAME:
                seen.foreign.append(f"version {seen.version} gave {content['risk_score']}")


def _asked(connection: http.client.HTTPConnection, body: bytes) -> tuple[int, dict[str, Any]]:
    """Status and content of the answer; status 0 where there was none."""
    try:
        connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        connection.close()
        return 0, {"detail": repr(error)}


def measure(changes: int, clients: int) -> dict[str, Any]:
    """Run it in a temporary folder with keys of its own; what was seen."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["FEDHEALTH_SIGNING_KEY_FILE"] = str(folder / "signing.key")
        os.environ["FEDHEALTH_TRUSTED_KEYS_FILE"] = str(folder / "trusted_keys.toml")
        models, other = prepare(folder)
        bodies, expected = people([models, other])
        with serving(models) as port:
            return _under_load(port, models, other, bodies, expected, changes, clients)


def _under_load(
    port: int,
    models: Path,
    other: Path,
    bodies: list[bytes],
    expected: Mapping[str, list[float]],
    changes: int,
    clients: int,
) -> dict[str, Any]:
    stop, seen = threading.Event(), [Seen() for _ in range(clients)]
    threads = [threading.Thread(target=ask, args=(port, bodies, expected, one, stop)) for one in seen]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    try:
        rows = [_change(number, models, other, seen) for number in range(changes)]
        time.sleep(PAUSE)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    spent = time.perf_counter() - start
    took = np.concatenate([one.seconds for one in seen])
    return {
        "changes": rows,
        "clients": clients,
        "requests": len(took),
        "requests_per_second": len(took) / spent,
        "failed": [text for one in seen for text in one.failed],
        "foreign": [text for one in seen for text in one.foreign],
        "milliseconds": {f"p{q}": float(np.percentile(took, q) * 1e3) for q in (50, 99, 100)},
    }


def _change(number: int, models: Path, other: Path, seen: list[Seen]) -> dict[str, Any]:
    """Promote (even) or roll back (odd), and wait until every client was answered by the new model."""
    from fedhealth.registry import publish, rollback

    time.sleep(PAUSE)
    start = time.perf_counter()
    bundle = rollback(models, "a benchmark") if number % 2 else publish(other, models, "promote", "a benchmark")
    changed = time.perf_counter() - start
    _wait(lambda: all(one.version == bundle.version for one in seen), f"version {bundle.version} did not answer")
    action = "rollback" if number % 2 else "promote"
    return {"action": action, "version": bundle.version, "seconds": changed, "served": time.perf_counter() - start}


def show(found: Mapping[str, Any]) -> None:
    """Print the table."""
    print(f"{'change':10}{'version':15}{'done after':>12}{'all clients see it after':>27}")
    for one in found["changes"]:
        print(f"{one['action']:10}{one['version']:15}{one['seconds']:>10.3f} s{one['served']:>25.2f} s")
    quantiles = ", ".join(f"{name} {value:.1f} ms" for name, value in found["milliseconds"].items())
    rate = f"{found['requests_per_second']:,.0f}/s"
    print(f"{found['requests']:,} requests by {found['clients']} clients, {rate}; {quantiles}")
    print(f"failed: {len(found['failed'])}; answers whose score is not their version's: {len(found['foreign'])}")


def main() -> None:
    """Measure, print, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=10, help="promotions and rollbacks, in turn (default 10)")
    parser.add_argument("--clients", type=int, default=4, help="connections that ask all the time (default 4)")
    parser.add_argument("--json", type=Path, help="also write what was found to this file")
    options = parser.parse_args()
    found = measure(options.changes, options.clients)
    show(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
