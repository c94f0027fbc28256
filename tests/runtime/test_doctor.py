"""What ``fedhealth doctor`` finds, and what it says to do."""

import re
import socket
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.runtime.enrolling import Door, own_data
from typer.testing import CliRunner

from fedhealth.cli import app
from fedhealth.runtime.flower.certificates import ServerFolder, prepare
from fedhealth.runtime.flower.enrolment import join
from fedhealth.runtime.ports import LOOPBACK, free_port


def findings(*words: str, code: int) -> dict[str, str]:
    """The lines of the doctor's table, by check."""
    result = CliRunner(env={"COLUMNS": "300"}).invoke(app, ["doctor", *words])
    assert result.exit_code == code, result.output
    rows = [re.split(r"\s{2,}", line.strip(), maxsplit=2) for line in result.output.splitlines()[1:] if line.strip()]
    return {row[1]: " ".join(row) for row in rows}


def test_doctor_finds_a_server_well_and_says_what_is_not(door: Door) -> None:
    folder = ["--server", str(door.folder.path)]
    found = findings(*folder, "--port", str(door.port), code=1)
    assert "fedhealth server invite NODE" in found["book of nodes"]
    door.book.invite("node_1")
    found = findings(*folder, "--port", str(door.port), code=0)
    assert "this server listens" in found[f"port {door.port}"]
    assert "free; no server runs" in findings(*folder, "--port", str(free_port()), code=0).popitem()[1]
    door.folder.certificate.unlink()
    prepare(door.folder, [], datetime.now(UTC) - timedelta(days=340))
    door.folder.key.chmod(0o644)
    found = findings(*folder, "--port", str(free_port()), code=1)
    assert "chmod 600" in found["server's keys"]
    assert "run: fedhealth server init" in found["certificate server.crt"]


def test_doctor_names_a_port_that_something_else_has(folder: ServerFolder) -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        other.listen()
        port = other.getsockname()[1]
        threading.Thread(target=lambda: other.accept()[0].close(), daemon=True).start()
        found = findings("--server", str(folder.path), "--port", str(port), code=1)
    assert "taken by something else" in found[f"port {port}"]


def test_doctor_finds_a_node_well_and_says_what_is_not(door: Door, data: Path, tmp_path: Path) -> None:
    data = own_data(data, tmp_path)
    words = ["--node", "node_1", "--data", str(data)]
    found = findings(*words, code=1)
    assert "fedhealth node join FILE" in found["enrolment"]
    join(door.invitation("node_1"), data)
    found = findings(*words, code=0)
    for check in ("table", "policy", "approval", "ledger", "node's keys", "server", "certificate", "clock", "versions"):
        assert found[check].startswith("ok"), found[check]
    (data / "node_1.policy.toml").write_text("minimum_rows = -1\n", encoding="utf-8")
    (data / "node_1.ledger.sqlite").write_bytes(b"not a ledger" * 100)
    next((data / "node_1").iterdir()).write_bytes(b"?")
    door.book.revoke("node_1")
    found = findings(*words, code=1)
    for check in ("table", "policy", "ledger", "server"):
        assert found[check].startswith("!"), found[check]
    assert "node_1 was revoked" in found["server"]
