"""The deployment of docker-compose.yml without a container engine: each service's own command, in dependency order.

Every service runs contained (``containers.py``): its own user, files that are read-only, its volumes and its network.
With ``FEDHEALTH_IMAGES=1`` it runs in the files of its image, which buildah must hold; else in those of the checkout.
PostgreSQL is this machine's.
"""

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.shipping import containers
from tests.shipping.containers import Folder, contained, network
from tests.shipping.test_images import ROOT, SERVICES

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]
PATIENCE = 240  # seconds until a service is healthy, or a job done
POSTGRES = """
cd /tmp
initdb --pgdata=/var/lib/postgresql/data --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" \\
    --auth=scram-sha-256 --encoding=UTF8 --no-locale > /dev/null
echo "CREATE DATABASE $POSTGRES_DB" | postgres --single -D /var/lib/postgresql/data postgres > /dev/null
exec postgres -D /var/lib/postgresql/data -c fsync=off
"""  # what the image of PostgreSQL does at its first start


class Deployment:
    """Services of the compose file that run, and what they said."""

    def __init__(self, folder: Path, networks: Mapping[str, int]) -> None:
        self.folder, self._networks = folder, networks
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._files: dict[str, tuple[Path, list[Folder]]] = {}
        self._of_images: list[str] = []  # containers of buildah's

    def up(self) -> None:
        """Start every service that is not asked for by name, each once those before it are there."""
        for name, service in SERVICES.items():
            if "profiles" not in service:
                self.start(name)

    def start(self, name: str) -> None:
        """Start a service and what it depends on, as the compose file says."""
        if name in self.running:
            return
        for other, how in SERVICES[name].get("depends_on", {}).items():
            self.start(other)
            if how["condition"] == "service_healthy":
                self.wait_until_healthy(other)
            else:
                self.wait_until_done(other)
        self.running[name] = self._run(name, self._command(name))

    def wait_until_done(self, name: str) -> None:
        with suppress(subprocess.TimeoutExpired):
            self.running[name].wait(PATIENCE)
        assert self.running[name].poll() == 0, self.said(name)

    def wait_until_healthy(self, name: str) -> None:
        check, end = SERVICES[name]["healthcheck"]["test"], time.monotonic() + PATIENCE
        while self._run(name, check[1:], "check").wait(PATIENCE):
            assert self.running[name].poll() is None, self.said(name)
            assert time.monotonic() < end, self.said(name)
            time.sleep(1)

    def said(self, name: str) -> str:
        return f"{name}:\n" + (self.folder / f"{name}.log").read_text()

    def inside(self, name: str, *command: str) -> str:
        """What a command says that is run beside a service, with all that the service sees."""
        process = self._run(name, list(command), "inside")
        assert process.wait(60) == 0, self.said(f"{name}.inside")
        return (self.folder / f"{name}.inside.log").read_text()

    def down(self) -> None:
        for process in self.running.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.running.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for container in self._of_images:
            _buildah("rm", container)

    def _run(self, name: str, command: list[str], what: str = "") -> "subprocess.Popen[bytes]":
        service = SERVICES[name]
        root, folders = self._files_of(name)
        settings = self._environment(name)
        network = {"none": name, "service:server": "server"}.get(service.get("network_mode", ""), "default")
        line = contained(
            root,
            [*folders, *self._volumes(name)],
            settings,
            command,
            self._networks[network],
            service.get("cap_add", []),
            _user(service),
        )
        with (self.folder / (f"{name}.{what}.log" if what else f"{name}.log")).open("wb") as log:
            return subprocess.Popen(line, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)

    def _command(self, name: str) -> list[str]:
        if name == "postgres":
            return ["sh", "-euc", POSTGRES]
        service = SERVICES[name]
        command = service.get("command") or containers.command_of(ROOT / service["build"]["dockerfile"])
        return [word.replace("$$", "$") for word in command]

    def _environment(self, name: str) -> dict[str, str]:
        service = SERVICES[name]
        if "build" not in service:
            return {"PATH": f"{_postgresql()}:/usr/bin:/bin", **service["environment"]}
        settings = containers.environment_of(ROOT / service["build"]["dockerfile"])
        source = {} if _with_images() else {"PYTHONPATH": "/app/src"}  # else the virtual environment chooses
        return {**settings, **source, **service.get("environment", {})}

    def _files_of(self, name: str) -> tuple[Path, list[Folder]]:
        """Where a service's files lie, and what of this machine belongs to them."""
        image = SERVICES[name]["image"]
        if image not in self._files:
            root = self.folder / image
            root.mkdir()
            if image.startswith("postgres"):
                self._files[image] = root, containers.host(root)
            elif _with_images():
                self._of_images.append(_buildah("from", "--pull-never", f"localhost/{image}"))
                self._files[image] = Path(_buildah("mount", self._of_images[-1])), []
            else:
                self._files[image] = root, containers.checkout(root)
        return self._files[image]

    def _volumes(self, name: str) -> list[Folder]:
        named = [volume.split(":") for volume in SERVICES[name].get("volumes", [])]
        folders = [Folder(self.volume(volume), place, how == ["ro"]) for volume, place, *how in named]
        if name == "postgres":
            folders.append(Folder(self._own(name, "run"), "/var/run/postgresql"))
        elif "/data" not in [folder.inside for folder in folders]:
            folders.insert(0, Folder(self._own(name, "data"), "/data"))
        return [Folder(self._hosts(), "/etc/hosts", read_only=True), *folders]

    def volume(self, name: str) -> Path:
        """Where a volume's files lie."""
        folder = self.folder / "volumes" / name
        if not folder.is_dir():
            folder.mkdir(parents=True)
            if name == "postgres":
                os.chown(folder, _user(SERVICES["postgres"]), -1)
        return folder

    def _own(self, name: str, what: str) -> Path:
        folder = self.folder / f"{name}.{what}"
        if not folder.is_dir():
            folder.mkdir()
            os.chown(folder, _user(SERVICES[name]), -1)
        return folder

    def _hosts(self) -> Path:
        hosts = self.folder / "hosts"
        hosts.write_text(f"127.0.0.1 localhost {' '.join(SERVICES)}\n")
        return hosts


def _user(service: Mapping[str, Any]) -> int:
    if "user" in service:
        return pwd.getpwnam("root").pw_uid if service["user"] == "root" else int(service["user"])
    return containers.USER if "build" in service else pwd.getpwnam("postgres").pw_uid


def _with_images() -> bool:
    return os.environ.get("FEDHEALTH_IMAGES") == "1"


def _buildah(*words: str) -> str:
    environment = {"STORAGE_DRIVER": "vfs", **os.environ}
    return subprocess.run(
        ["buildah", *words], env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


def _postgresql() -> Path | None:
    """The folder of this machine's newest PostgreSQL, None without."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def _missing() -> str:
    """What is missing to run contained, empty if nothing is."""
    if sys.platform != "linux" or os.geteuid():
        return "Linux and root"
    return ", ".join(
        [*(p for p in containers.NEEDED if not shutil.which(p)), *([] if _postgresql() else ["postgresql"])]
    )


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """All services, up, and the three nodes' training done."""
    if missing := _missing():
        reason = f"needs {missing}"
        if os.environ.get("FEDHEALTH_REQUIRE_ALL") == "1":
            pytest.fail(f"{reason} (FEDHEALTH_REQUIRE_ALL=1 forbids skipping)")
        pytest.skip(reason)
    with ExitStack() as stack:
        networks = {name: stack.enter_context(network()) for name in ("init", "server", "default")}
        deployed = Deployment(tmp_path_factory.mktemp("compose"), networks)
        stack.callback(deployed.down)
        deployed.up()
        for job in ("server", "node_1", "node_2", "node_3"):
            deployed.wait_until_done(job)
        yield deployed


def ask(deployment: Deployment) -> dict[str, Any]:
    """What the API answers to the README's example, asked in its network."""
    network = f"--net=/proc/{deployment.running['api'].pid}/ns/net"
    command = ["nsenter", network, sys.executable, ROOT / "tests/shipping/ask.py", "http://127.0.0.1:8000"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def test_the_api_predicts_with_the_model_that_the_three_nodes_trained(deployment: Deployment) -> None:
    (report,) = deployment.volume("runs").glob("health-risk-*/report.json")
    trained = json.loads(report.read_text())
    assert [node["name"] for node in trained["nodes"]] == ["node_1", "node_2", "node_3"]
    assert ask(deployment)["model_version"] == trained["bundle"]["version"]


@pytest.mark.parametrize("name", ["postgres", "api", "citizen", "admin", "feed", "mlflow"])
def test_what_lasts_is_healthy(deployment: Deployment, name: str) -> None:
    deployment.wait_until_healthy(name)


def test_a_node_sees_its_own_rows_and_policy_and_reaches_nothing_else(deployment: Deployment) -> None:
    for node in ("node_1", "node_2", "node_3"):
        names = set(deployment.inside(node, "ls", "/data").split())
        assert {node, f"{node}.policy.toml"} <= names
        assert not names & ({"node_1", "node_2", "node_3"} - {node})
        reached = "import socket; print(socket.socket().connect_ex(('127.0.0.1', 5432)))"
        assert int(deployment.inside(node, "python", "-c", reached)) != 0


def test_nothing_but_volumes_can_be_written(deployment: Deployment) -> None:
    attempt = "import os; print([p for p in ('/app', '/venv', '/etc', '/models') if os.access(p, os.W_OK)])"
    assert deployment.inside("api", "python", "-c", attempt).strip() == "[]"


def test_what_was_backed_up_is_restored(deployment: Deployment) -> None:
    readings = "SELECT count(*) FROM readings WHERE source = 'synthetic'"
    before, models, kept = ask(deployment), deployment.volume("models"), int(query(deployment, readings))
    deployment.start("backup")
    deployment.wait_until_done("backup")
    query(deployment, "DELETE FROM readings")
    (models / "bundle.json").unlink()
    deployment.start("restore")
    deployment.wait_until_done("restore")
    assert ask(deployment)["model_version"] == before["model_version"]
    assert (models / "bundle.json").is_file()
    assert int(query(deployment, readings)) >= kept > 0  # the feed goes on


def test_a_damaged_backup_replaces_nothing(deployment: Deployment) -> None:
    copy = max(deployment.volume("backups").iterdir()) / "models.tar.gz"
    copy.write_bytes(copy.read_bytes()[:-100])
    before = {path.name: path.read_bytes() for path in deployment.volume("models").iterdir() if path.is_file()}
    del deployment.running["restore"]
    deployment.start("restore")
    assert deployment.running["restore"].wait(PATIENCE) != 0
    assert {path.name: path.read_bytes() for path in deployment.volume("models").iterdir() if path.is_file()} == before
    assert int(query(deployment, "SELECT count(*) FROM readings")) > 0


def query(deployment: Deployment, statement: str) -> str:
    words = ["psql", "-qAt", "--host=postgres", "--username=fedhealth", f"--command={statement}", "fedhealth"]
    return deployment.inside("backup", *words)
