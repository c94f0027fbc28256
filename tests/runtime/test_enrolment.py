"""Certificates, invitations, and who is refused why, at a server's outside door."""

import dataclasses
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.runtime.enrolling import Door, heard, typed
from typer.testing import CliRunner

from fedhealth.runtime.flower.book import Book
from fedhealth.runtime.flower.certificates import ServerFolder, check_in_force, hosts_of, load, prepare
from fedhealth.runtime.flower.enrolment import enrolment_file, enrolment_of, join, make_known, node_keys, public_pem
from fedhealth.runtime.flower.environment import FlowerError
from fedhealth.runtime.flower.listening import listening
from fedhealth.runtime.flower.pinned import ServerAway, check_clock, check_plain, post
from fedhealth.runtime.ports import LOOPBACK, free_port


def test_an_authority_is_kept_and_only_its_certificate_is_open(folder: ServerFolder) -> None:
    before = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    said = prepare(folder, ["server.example"])
    assert all(line.startswith("kept") for line in said)
    assert {path.name: path.read_bytes() for path in folder.path.iterdir()} == before
    for path in (folder.authority_key, folder.key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load(folder.authority).not_valid_after_utc > datetime.now(UTC) + timedelta(days=3600)
    assert hosts_of(load(folder.certificate))[0] == "server.example"


def test_an_expired_certificate_is_renewed_and_a_new_name_added(tmp_path: Path) -> None:
    folder = ServerFolder(tmp_path)
    prepare(folder, ["10.1.2.3"], datetime.now(UTC) - timedelta(days=400))
    with pytest.raises(FlowerError, match=r"expired on .*; renew it: fedhealth server init"):
        check_in_force(folder)
    assert prepare(folder, ["other.example"])[1].startswith("renewed")
    check_in_force(folder)
    assert {"10.1.2.3", "other.example"} <= set(hosts_of(load(folder.certificate)))


def test_half_an_authority_is_not_replaced(folder: ServerFolder) -> None:
    folder.authority_key.unlink()
    with pytest.raises(FlowerError, match="only one is there; restore the other"):
        prepare(folder, [])


def test_a_node_enrols_once_and_is_known_again(door: Door, tmp_path: Path) -> None:
    invitation = door.invitation("node_1")
    assert invitation.token.encode() not in door.folder.book.read_bytes()  # only its hash is kept
    join(invitation, tmp_path)
    kept = enrolment_of(tmp_path, "node_1")
    assert kept is not None
    assert kept.token == ""
    for path in (enrolment_file(tmp_path, "node_1"), tmp_path / "node_1.node-key.pem", tmp_path / "node_1.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert abs(make_known(kept, tmp_path).ahead) < 5
    assert door.changes == [["node_1"]]
    assert door.said == ["node_1 enrolled"]
    assert door.book.nodes()[0].state == "enrolled"


def test_a_server_that_is_away_leaves_a_node_ready(folder: ServerFolder, tmp_path: Path) -> None:
    door = Door(folder)
    with pytest.raises(ServerAway, match="no server answers at"):
        join(door.invitation("node_1"), tmp_path)
    ready = enrolment_of(tmp_path, "node_1")
    assert ready is not None
    assert ready.token
    with door.open():
        make_known(ready, tmp_path)  # as at its first connection
    assert door.changes == [["node_1"]]


def test_a_used_token_is_refused(door: Door, tmp_path: Path) -> None:
    invitation = door.invitation("node_1")
    join(invitation, tmp_path / "owner")
    with pytest.raises(FlowerError, match="the invitation of node_1 was used already"):
        join(invitation, tmp_path / "thief")
    assert any("the invitation of node_1 was used already" in line for line in door.said)


def test_a_later_invitation_voids_the_one_before(door: Door, tmp_path: Path) -> None:
    first, second = door.invitation("node_1"), door.invitation("node_1")
    with pytest.raises(FlowerError, match="not of its latest invitation"):
        join(first, tmp_path)
    join(second, tmp_path)
    with pytest.raises(FlowerError, match="first: fedhealth server revoke node_1"):
        door.book.invite("node_1")


def test_a_revoked_node_is_refused_until_it_is_invited_anew(door: Door, tmp_path: Path) -> None:
    join(door.invitation("node_1"), tmp_path)
    key = public_pem(node_keys(tmp_path, "node_1")[1])
    assert door.ask("/v1/fleet/pull-messages", key=key)[0] == 503  # let through; there is no SuperLink here
    door.book.revoke("node_1")
    status, answer = door.ask("/v1/fleet/pull-messages", key=key)
    assert status == 410
    assert b"node_1 was revoked on" in answer
    assert door.changes[-1] == []  # at once, and not only when it would be missed
    kept = enrolment_of(tmp_path, "node_1")
    assert kept is not None
    with pytest.raises(FlowerError, match=r"node_1 was revoked on .*; it needs a new invitation"):
        make_known(kept, tmp_path)
    assert any("node_1 was revoked" in line for line in door.said)
    join(door.invitation("node_1"), tmp_path)
    assert door.ask("/v1/fleet/pull-messages", key=key)[0] == 503


def test_a_node_that_nobody_invited_is_refused(door: Door, tmp_path: Path) -> None:
    forged = dataclasses.replace(door.invitation("node_1"), node="node_7")
    with pytest.raises(FlowerError, match="node_7 is not invited"):
        join(forged, tmp_path)
    stranger = public_pem(node_keys(tmp_path, "node_7")[1])
    status, answer = door.ask("/v1/fleet/activate-node", key=stranger)
    assert status == 410
    assert b"an unregistered node" in answer
    assert any("an unregistered node" in line for line in door.said)


def test_a_node_under_the_name_of_another_is_refused(door: Door, tmp_path: Path) -> None:
    for node in ("node_1", "node_2"):
        join(door.invitation(node), tmp_path / node)
    own = enrolment_of(tmp_path / "node_2", "node_2")
    assert own is not None
    for kind in ("node-key.pem", "key"):
        (tmp_path / "node_2" / f"node_2.{kind}").rename(tmp_path / "node_2" / f"node_1.{kind}")
    with pytest.raises(FlowerError, match="a node came as node_1 with the key of node_2"):
        make_known(dataclasses.replace(own, node="node_1"), tmp_path / "node_2")


def test_another_authority_is_refused_by_the_node_and_told_to_the_server(door: Door, tmp_path: Path) -> None:
    other = ServerFolder(tmp_path / "other")
    prepare(other, [])
    invitation = dataclasses.replace(door.invitation("node_1"), ca=other.authority.read_text(encoding="ascii"))
    with pytest.raises(FlowerError, match="not the server that sent the invitation: another authority signed"):
        join(invitation, tmp_path)
    assert heard(door.said, "it does not know this server's authority")
    assert door.changes == []


def test_a_node_without_tls_is_refused_and_told_how_to_enrol(door: Door) -> None:
    with pytest.raises(FlowerError, match=r"takes enrolled nodes only, over TLS; .* fedhealth node join FILE"):
        check_plain(f"{LOOPBACK}:{door.port}")
    assert heard(door.said, "it came without TLS")
    with pytest.raises(FlowerError, match="on another machine, and this node is not enrolled there"):
        check_plain("server.example:9092")


def test_an_expired_certificate_is_named_at_both_ends(tmp_path: Path) -> None:
    folder = ServerFolder(tmp_path / "server")
    prepare(folder, [], datetime.now(UTC) - timedelta(days=400))
    with Door(folder).open() as door:
        with pytest.raises(FlowerError, match=r"expired; its operator renews it: fedhealth server init"):
            join(door.invitation("node_1"), tmp_path)
        assert heard(door.said, "finds this server's certificate expired")
    said = typed_server("--folder", str(folder.path))
    assert "renew it: fedhealth server init" in said


def typed_server(*words: str) -> str:
    """What the server's command prints where it refuses to start."""
    import typer

    from fedhealth.cli.flower import server

    single = typer.Typer()
    single.command()(server)
    result = CliRunner().invoke(single, list(words))
    assert result.exit_code == 1, result.output
    return " ".join(result.output.split())


def test_no_server_opens_to_other_machines_without_certificates(tmp_path: Path) -> None:
    said = typed_server("--host", "0.0.0.0", "--folder", str(tmp_path / "none"))
    assert "--host 0.0.0.0 is reached from other machines" in said
    assert "fedhealth server init --host NAME" in said


def test_a_certificate_for_other_names_is_said_to_be(door: Door, tmp_path: Path) -> None:
    invitation = dataclasses.replace(door.invitation("node_1"), server=f"127.0.0.2:{door.port}")
    elsewhere = listening(door.proxy, door.folder, "127.0.0.2", door.port)
    with elsewhere, pytest.raises(FlowerError, match="fedhealth server init --host NAME"):
        join(invitation, tmp_path)


def test_a_new_invitation_holds_though_the_server_is_away_and_a_refused_one_leaves_the_old(
    folder: ServerFolder, tmp_path: Path
) -> None:
    door = Door(folder)
    with door.open():
        join(door.invitation("node_1"), tmp_path)
        enrolled = enrolment_of(tmp_path, "node_1")
        assert enrolled is not None
        other = ServerFolder(tmp_path / "other")
        prepare(other, [])
        foreign = dataclasses.replace(enrolled, ca=other.authority.read_text(encoding="ascii"))
        with pytest.raises(FlowerError, match="not the server that sent the invitation"):
            join(foreign, tmp_path)
        assert enrolment_of(tmp_path, "node_1") == enrolled
    Book(folder.book).revoke("node_1")
    invitation = door.invitation("node_1")
    with pytest.raises(ServerAway):
        join(invitation, tmp_path)
    assert enrolment_of(tmp_path, "node_1") == invitation


def test_what_strangers_send_does_not_reach_the_terminal_as_it_came(door: Door) -> None:
    told = {"node": "\x1b[2J\nnode_3 enrolled", "node_key": "", "signing_key": "", "token": ""}
    ca = door.folder.authority.read_text(encoding="ascii")
    assert post(ca, f"{LOOPBACK}:{door.port}", told).status == 400
    door.proxy.tell("\x1b[2J" + "x" * 1_000)
    assert all(line.isprintable() and len(line) <= 300 for line in door.said)


def test_a_clock_that_is_off_is_said_to_be(door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_clock(200.0)
    with pytest.raises(FlowerError, match="clock is -3600 s off the server's; set both, to within 240 s"):
        check_clock(-3600.0)
    monkeypatch.setattr("fedhealth.runtime.flower.pinned.LARGEST_SKEW", -1.0)
    with pytest.raises(FlowerError, match=r"this machine's clock is [+-]\d+ s off the server's"):
        join(door.invitation("node_1"), tmp_path)


@pytest.mark.parametrize(("field", "value"), [("node", "../../etc/x"), ("node", ""), ("server", "a.example")])
def test_an_invitation_that_would_write_elsewhere_is_refused(
    folder: ServerFolder, tmp_path: Path, field: str, value: str
) -> None:
    file = tmp_path / "invitation.json"
    dataclasses.replace(Door(folder).invitation("node_1"), **{field: value}).write(file)
    assert "not an enrolment file" in typed("node", "join", str(file), "--data", str(tmp_path / "data"), code=1)
    assert not (tmp_path / "data").exists()


def test_commands_from_init_to_revoke(tmp_path: Path) -> None:
    folder, file, data = str(tmp_path / "server"), str(tmp_path / "node_1.json"), str(tmp_path / "data")
    said = typed("server", "invite", "node_1", "--folder", folder, code=1)
    assert "fedhealth server init --host NAME" in said
    assert "Made an authority" in typed("server", "init", "--host", "localhost", "--folder", folder)
    assert "node 'nobody' is not in study" in typed("server", "invite", "nobody", "--folder", folder, code=1)
    said = typed("server", "invite", "node_1", "--to", file, "--port", str(free_port()), "--folder", folder)
    assert "It works once" in said or "it works once" in said
    assert stat.S_IMODE(Path(file).stat().st_mode) == 0o600
    said = typed("node", "join", file, "--data", data)
    assert "it enrols when it first connects" in said
    assert "signing key:" in said
    assert "invited" in typed("server", "nodes", "--folder", folder)
    assert "node_1 is revoked" in typed("server", "revoke", "node_1", "--folder", folder)
    assert "revoked" in typed("server", "nodes", "--folder", folder)
    assert "never invited" in typed("server", "revoke", "node_3", "--folder", folder, code=1)
    Path(file).write_text("{}", encoding="utf-8")
    assert "not an enrolment file" in typed("node", "join", file, "--data", data, code=1)
