"""How fast the API answers, beside the ordinary way of writing one: ``python benchmarks/serving.py --json out.json``.

Each server has one core to itself, the load comes from another (``taskset``); everything goes over loopback, and all
ratios come from one run, server after server, several times over, the best of each. Where other programs want the
cores too, trust the ratios of the server's processor time rather than those of requests a second. Load is made by
``wrk`` where it is installed, else by a small client of this file. The ordinary way: FastAPI with pydantic, a ``def``
endpoint, a PyTorch network of the same inputs, uvicorn as ``pip install uvicorn`` gives it, with its access log. Needs
two cores and PyTorch.
"""

import argparse
import asyncio
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fedhealth.runtime.ports import free_port

ROOT = Path(__file__).parents[1]
SERVER_CORE, LOAD_CORE = "0", "1"
CONNECTIONS, ROWS = 32, 1_000
PERSON = {
    "heart_rate": 88,
    "spo2": 97,
    "steps": 4500,
    "sleep_hours": 6,
    "age": 30,
    "smoker": 0,
    "chronic": 0,
    "aqi": 60,
}
COLUMNS = {name: [value] * ROWS for name, value in PERSON.items()}
BOUNDS = {
    "heart_rate": 250,
    "spo2": 100,
    "steps": 60_000,
    "sleep_hours": 24,
    "age": 110,
    "smoker": 1,
    "chronic": 1,
    "aqi": 500,
}


def ordinary() -> Any:
    """FastAPI + torch as people write it first."""
    import torch
    from fastapi import FastAPI
    from pydantic import Field, create_model

    fields: dict[str, Any] = {name: (float, Field(ge=0, le=top)) for name, top in BOUNDS.items()}
    person = create_model("Person", **fields)
    network = torch.nn.Sequential(
        *(torch.nn.Linear(8, 64), torch.nn.ReLU(), torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
    )
    app = FastAPI()

    @app.post("/predict")
    def predict(body: person) -> dict[str, Any]:  # type: ignore[valid-type]
        with torch.no_grad():
            x = torch.tensor([list(body.model_dump().values())])  # type: ignore[attr-defined]
            risk = torch.sigmoid(network(x)).item()
        return {"risk_score": risk, "high_risk": risk >= 0.2}

    return app


def columnar() -> Any:
    """Columns in FastAPI's own way: lists checked by pydantic, scored by our model, encoded by FastAPI."""
    from typing import Annotated

    import numpy as np
    from fastapi import FastAPI
    from pydantic import Field, create_model

    from fedhealth.registry import load_bundle
    from fedhealth.serving.predictor import Predictor

    fields: dict[str, Any] = {n: (list[Annotated[float, Field(ge=0, le=top)]], ...) for n, top in BOUNDS.items()}
    body_type = create_model("Columns", **fields)
    predictor = Predictor.from_bundle(load_bundle(Path(os.environ["FEDHEALTH_MODELS"])))
    names = tuple(name for name in predictor.bundle.study.names if name in BOUNDS)
    app = FastAPI()

    @app.post("/predict/batch")
    async def predict(body: body_type) -> dict[str, Any]:  # type: ignore[valid-type]
        return predictor.predict_batch(names, np.column_stack([getattr(body, name) for name in names]))

    return app


def constant() -> Any:
    """Raw ASGI that reads the body and answers the same bytes to everybody."""
    content = b'{"risk_score":0.07123456789012345,"high_risk":false,"risk_interval":[0.04,0.13],"missing":[]}'
    start = {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-length", b"%d" % len(content)), (b"content-type", b"application/json")],
    }

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await receive()
            await send(start)
            await send({"type": "http.response.body", "body": content})

    return app


@contextmanager
def serving(name: str, folder: Path) -> Iterator[tuple[str, dict[str, str], int]]:
    """One server on its own core: address, headers to send, process id; ended afterwards."""
    port, key = free_port(), secrets.token_hex(32)
    own = ["-m", "uvicorn", f"serving:{name}", "--factory", "--host", "127.0.0.1", "--port", str(port)]
    quiet = ["--log-level", "warning", "--no-access-log"]
    commands = {
        "ours": ["-m", "fedhealth", "serve", "--port", str(port), "--models", str(ROOT / "models")],
        "ordinary": [*own, "--loop", "asyncio", "--http", "h11"],
        "columnar": own + quiet,
        "constant": own + quiet,
    }
    settings = {
        "FEDHEALTH_API_KEY": key,
        "FEDHEALTH_RATE": "1e9",
        "FEDHEALTH_MODELS": str(ROOT / "models"),
        "DATABASE_URL": f"sqlite:///{folder / 'store.db'}",
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'benchmarks'}",
        "OMP_NUM_THREADS": "1",
    }
    command = ["taskset", "-c", SERVER_CORE, sys.executable, *commands[name]]
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **settings}, stdout=log, stderr=log)
        try:
            yield f"http://127.0.0.1:{port}", {"X-API-Key": key}, process.pid
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


def wait_for(url: str, within: float = 60.0) -> float:
    """Seconds until anything is answered at ``url``."""
    started = time.perf_counter()
    while time.perf_counter() - started < within:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return time.perf_counter() - started
        except urllib.error.HTTPError as error:
            if error.code != 503:
                return time.perf_counter() - started
        except OSError:
            pass
        time.sleep(0.002)
    raise SystemExit(f"{url} does not answer")


def load(url: str, body: bytes, headers: dict[str, str], seconds: float) -> dict[str, float]:
    """Requests a second, and milliseconds at the median and the 99th percentile."""
    if shutil.which("wrk"):
        return wrk(url, body, headers, seconds)
    me = [sys.executable, __file__, "--client", json.dumps([url, body.decode(), headers, seconds])]
    found: dict[str, float] = json.loads(subprocess.check_output(["taskset", "-c", LOAD_CORE, *me], text=True))
    return found


def wrk(url: str, body: bytes, headers: dict[str, str], seconds: float) -> dict[str, float]:
    """The same by wrk, which must get nothing but 200."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        lines = [f'wrk.headers["{k}"] = "{v}"' for k, v in {**headers, "Content-Type": "application/json"}.items()]
        script.write("\n".join(['wrk.method = "POST"', f"wrk.body = [[{body.decode()}]]", *lines]))
        script.flush()
        options = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s", "--latency", "-s", script.name, url]
        text = subprocess.check_output(["taskset", "-c", LOAD_CORE, "wrk", *options], text=True)
    if "Non-2xx" in text:
        raise SystemExit(f"{url}: {text}")
    unit = {"us": 1e-3, "ms": 1.0, "s": 1e3}
    times = {p: float(n) * unit[u] for p, n, u in re.findall(r"(\d\d)%\s+([\d.]+)(us|ms|s)", text)}
    return {"requests": float(re.findall(r"Requests/sec:\s+([\d.]+)", text)[0]), "p50": times["50"], "p99": times["99"]}


async def client(url: str, body: str, headers: dict[str, str], seconds: float) -> dict[str, float]:
    """The same by asyncio streams, where there is no wrk."""
    host, port, path = re.findall(r"http://([^:]+):(\d+)(.*)", url)[0]
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head += f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    raw = f"POST {path} HTTP/1.1\r\n{head}\r\n{body}"
    times: list[float] = []
    until = time.perf_counter() + seconds

    async def ask() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        while (started := time.perf_counter()) < until:
            writer.write(raw.encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(answer.decode())
            await reader.readexactly(int(re.findall(rb"content-length: (\d+)", answer.lower())[0]))
            times.append(time.perf_counter() - started)
        writer.close()

    await asyncio.gather(*(ask() for _ in range(CONNECTIONS)))
    times.sort()
    return {
        "requests": len(times) / seconds,
        "p50": times[len(times) // 2] * 1e3,
        "p99": times[len(times) * 99 // 100] * 1e3,
    }


def processor(process: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(process: int) -> float:
    """Resident megabytes of a process."""
    return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())[0]) / 1024


def ask(url: str, headers: dict[str, str]) -> str:
    """What is answered to GET."""
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
        return str(answer.read().decode())


def noted(address: str, headers: dict[str, str]) -> dict[str, float]:
    """What the API's figures say of its prediction log."""
    text = ask(f"{address}/metrics", headers)
    return {
        name: float(re.findall(rf"^fedhealth_predictions_{name} (\S+)", text, re.M)[0])
        for name in ("waiting", "shed_total")
    }


def measure(seconds: float, rounds: int) -> dict[str, Any]:
    """Everything, ``rounds`` times over; of each figure the better one."""
    one, many = json.dumps(PERSON).encode(), json.dumps({"columns": COLUMNS}).encode()
    loads = [
        ("constant", "constant", "/predict", one, {}),
        ("ordinary", "ordinary", "/predict", one, {}),
        ("predict", "ours", "/predict", one, None),
        ("explain", "ours", "/explain", one, None),
        ("batch_columnar", "ours", "/predict/batch", many, None),
        ("batch_fastapi", "columnar", "/predict/batch", json.dumps(COLUMNS).encode(), {}),
    ]
    found: dict[str, Any] = {}
    for _ in range(rounds):
        for name, server, path, body, headers in loads:
            with tempfile.TemporaryDirectory() as folder, serving(server, Path(folder)) as (address, key, process):
                ready = wait_for(f"{address}/ready")
                facts = {"ready_seconds": ready, "ready_mb": memory(process)} if server == "ours" else {}
                sent = key if headers is None else headers
                if server == "ours":
                    ask(f"{address}/cities", key)  # its store is open from here on
                load(address + path, body, sent, 1.0)
                before = processor(process)
                got = {**load(address + path, body, sent, seconds), **facts}
                got["cpu_us"] = (processor(process) - before) / (got["requests"] * seconds) * 1e6
                if name == "predict":
                    got |= noted(address, key)
            best = found.get(name)
            if best is None or got["cpu_us"] < best["cpu_us"]:
                found[name] = got
    return found


def ratios(found: dict[str, Any], by: str) -> dict[str, float]:
    """What is promised, in the order of the promises; ``by`` requests a second or processor time."""
    rate = {name: one[by] for name, one in found.items()}
    if by == "cpu_us":
        rate = {name: 1e6 / one for name, one in rate.items()}
    return {
        "predict / ordinary FastAPI + torch": rate["predict"] / rate["ordinary"],
        "predict / raw ASGI constant": rate["predict"] / rate["constant"],
        "columnar batch / FastAPI's columnar way": rate["batch_columnar"] / rate["batch_fastapi"],
        "explain / predict, time": rate["predict"] / rate["explain"],
        "start to ready, seconds": min(found[name]["ready_seconds"] for name in ("predict", "explain")),
        "memory at ready, MB": found["predict"]["ready_mb"],
        "batch, rows a second": rate["batch_columnar"] * ROWS,
    }


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    parser.add_argument("--seconds", type=float, default=5.0, help="of load on each server")
    parser.add_argument("--rounds", type=int, default=2, help="how often everything is measured")
    parser.add_argument("--client", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.client:
        print(json.dumps(asyncio.run(client(*json.loads(asked.client)))))
        return
    found = measure(asked.seconds, asked.rounds)
    print(f"{'':20s}{'requests/s':>12s}{'p50 ms':>9s}{'p99 ms':>9s}{'processor us':>14s}")
    for name, one in found.items():
        print(f"{name:20s}{one['requests']:12,.0f}{one['p50']:9.2f}{one['p99']:9.2f}{one['cpu_us']:14,.1f}")
    both = {by: ratios(found, by) for by in ("requests", "cpu_us")}
    print(f"\n{'':42s}{'by requests/s':>14s}{'by processor':>14s}")
    for name, value in both["requests"].items():
        print(f"{name:42s}{value:14,.2f}{both['cpu_us'][name]:14,.2f}")
    print(f"predictions shed: {found['predict']['shed_total']:,.0f}")
    if asked.json:
        asked.json.write_text(json.dumps({"loads": found, "ratios": both}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
