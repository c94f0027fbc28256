"""Dockerfiles, compose file and workflow: well-formed, and every path, image and command they name exists."""

import json
import re
from pathlib import Path
from typing import Any

import compose_spec
import pytest
import yaml
from typer.main import get_command

from fedhealth.cli import app

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted(path.name for path in ROOT.glob("Dockerfile.*"))
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
LASTING = ["api", "citizen", "admin", "feed", "mlflow", "postgres"]
JOBS = ["backup", "restore"]  # run when asked for
OWN_IMAGES = {service["image"] for service in SERVICES.values() if "build" in service}


def words(service: str) -> list[str]:
    return " ".join(SERVICES[service].get("command", [])).replace("\n", " ").split()


def test_there_are_three_images() -> None:
    assert DOCKERFILES == ["Dockerfile.api", "Dockerfile.dashboard", "Dockerfile.node"]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_copies_what_exists_and_does_not_run_as_root(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    copied = re.findall(r"^COPY (?!--from)(?:--\S+ )*(.+) \S+$", text, re.MULTILINE)
    assert copied
    missing = [path for line in copied for path in line.split() if not (ROOT / path).exists()]
    assert not missing
    last_stage = re.split(r"^FROM .*$", text, flags=re.MULTILINE)[-1]
    assert re.search(r"^USER fedhealth$", last_stage, re.MULTILINE)
    assert not re.search(r"\btorch==|install.*\btorch\b", text)


@pytest.mark.parametrize("name", ["Dockerfile.api", "Dockerfile.dashboard"])
def test_an_image_that_serves_has_a_health_check(name: str) -> None:
    assert "\nHEALTHCHECK " in (ROOT / name).read_text(encoding="utf-8")


def test_the_compose_file_follows_the_specification() -> None:
    assert set(compose_spec.PyCompose.from_json(json.dumps(COMPOSE)).service_names()) == set(SERVICES)


def test_the_compose_file_holds_every_service() -> None:
    assert set(SERVICES) == {*LASTING, *JOBS, "init", "server", "node_1", "node_2", "node_3"}
    assert {name for name, service in SERVICES.items() if "profiles" in service} == set(JOBS)


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_names_exists(name: str) -> None:
    service = SERVICES[name]
    if "build" in service:
        dockerfile = (ROOT / service["build"]["dockerfile"]).read_text(encoding="utf-8")
        target = service["build"].get("target")
        assert target is None or re.search(rf"^FROM \S+ AS {target}$", dockerfile, re.MULTILINE)
    scripts = [word for word in words(name) if word.endswith(".py")]
    assert all((ROOT / script).is_file() for script in scripts)
    named = {volume.split(":")[0] for volume in service.get("volumes", [])}
    assert named <= set(COMPOSE["volumes"])
    assert set(service.get("depends_on", {})) <= set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_commands_and_options_of_fedhealth_exist(name: str) -> None:
    """Every ``fedhealth a b --option`` in a command is one that the command line knows."""
    for call in re.findall(r"fedhealth ((?:[a-z]+ )+[^;|&]*)", " ".join(words(name)).replace('"', "")):
        command: Any = get_command(app)
        given = call.split()
        while hasattr(command, "commands"):
            assert given[0] in command.commands, f"fedhealth has no command {given[0]!r}"
            command = command.commands[given.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in given if word.startswith("--")} <= known


def test_ports_are_published_on_this_machine_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert sorted(published) == [f"127.0.0.1:{port}:{port}" for port in (5000, 8000, 8501, 8502)]


def test_whoever_lasts_or_is_waited_for_is_checked() -> None:
    waited_for = {
        name
        for service in SERVICES.values()
        for name, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_healthy"
    }
    assert all("healthcheck" in SERVICES[name] for name in waited_for | set(LASTING))
    assert all(SERVICES[name]["restart"] == "unless-stopped" for name in LASTING)


def test_a_node_sees_its_own_rows_and_no_network_but_the_servers() -> None:
    for name in ("node_1", "node_2", "node_3"):
        assert SERVICES[name]["volumes"] == [f"{name}:/data"]
        assert SERVICES[name]["network_mode"] == "service:server"
        assert SERVICES[name]["restart"] == "on-failure"
    assert SERVICES["server"]["network_mode"] == "none"


def test_only_the_api_and_backups_reach_the_store() -> None:
    reach = {name for name, service in SERVICES.items() if "store" in service.get("networks", [])}
    assert reach == {"postgres", "api", *JOBS}
    assert COMPOSE["networks"]["store"]["internal"] is True
    assert all("networks" in service or "network_mode" in service for service in SERVICES.values())


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"postgres"}))
def test_a_service_writes_to_volumes_alone_and_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert (service["read_only"], service["tmpfs"], service["cap_drop"]) == (True, ["/tmp"], ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_every_image_of_a_service_is_built_by_make() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    loop = re.search(r"for name in (.*?);.*?-t federated-health-\$\$name", makefile, re.DOTALL)
    assert loop
    assert {f"federated-health-{name}" for name in [*loop[1].split(), "tracking"]} == OWN_IMAGES
    assert "--target tracking -t federated-health-tracking" in makefile


def test_the_feed_may_send_readings_and_no_more() -> None:
    assert SERVICES["feed"]["volumes"] == ["feed_key:/run/secrets/feed:ro"]
    assert "--role analyst > /keys/feed/key" in " ".join(words("init"))


def test_every_image_is_named_with_its_version() -> None:
    foreign = {service["image"] for service in SERVICES.values() if "build" not in service}
    assert foreign == {"postgres:17.6"}


def test_no_secret_is_written_down() -> None:
    settings = [service.get("environment", {}) for service in SERVICES.values()]
    secret = {key: value for each in settings for key, value in each.items() if re.search("PASSWORD|KEY", key)}
    assert secret
    assert all(key.endswith("_FILE") and value.startswith("/run/secrets/") for key, value in secret.items())
    assert not re.search(r"://[^/@\s]+:[^/@\s]+@", json.dumps(settings))


def test_the_workflow_may_only_read() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert not [job for job in WORKFLOW["jobs"].values() if "permissions" in job]


def test_the_workflow_runs_what_exists() -> None:
    steps = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]
    text = "\n".join(step.get("run", "") for step in steps)
    paths = re.findall(r"\btests/\S+\.py\b", text)
    assert paths
    assert all((ROOT / path).is_file() for path in paths)
    built = WORKFLOW["jobs"]["images"]["strategy"]["matrix"]["include"]
    assert sorted({image["dockerfile"] for image in built}) == sorted(DOCKERFILES)
    assert {f"federated-health-{image['name']}" for image in built} == OWN_IMAGES
    targets = set(re.findall(r"^make (\S+)", text, re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE) for target in targets)
