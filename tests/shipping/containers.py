"""Run programs as a container engine would, without one: files that are read-only, own folders, user and network.

Needs root and Linux. To run a command in the files of an image, with nothing to write to but ``/tmp`` and ``/data``:

    python tests/shipping/containers.py Dockerfile.api /path/to/the/image's/files -- fedhealth serve
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
USER = 10001  # of the Dockerfiles
NEEDED = ("unshare", "nsenter", "setpriv", "chroot", "mount")
SHARED = ("bin", "etc", "lib", "lib32", "lib64", "libx32", "nix", "opt", "sbin", "usr")  # folders of / with programs
SETUP = """
root=$1 folders=$2 capabilities=$3 user=$4; shift 4
mount --make-rprivate /
mount --bind "$root" "$root"
while IFS=: read -r outside inside how; do
    if [ -d "$outside" ]; then mkdir -p "$root$inside"
    elif [ ! -e "$root$inside" ]; then mkdir -p "$(dirname "$root$inside")"; touch "$root$inside"; fi
    mount --rbind "$outside" "$root$inside"
    if [ "$how" = ro ]; then mount -o remount,bind,ro "$root$inside"; fi
done << END
$folders
END
mkdir -p "$root/dev" "$root/proc" "$root/tmp"
mount -t tmpfs tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -o remount,bind,ro "$root"
cd "$root"
exec chroot "$root" setpriv --no-new-privs "--bounding-set=-all$capabilities" \\
    "--reuid=$user" "--regid=$user" --clear-groups sh -c 'cd /app 2> /dev/null || cd /tmp; exec "$@"' sh "$@"
"""
LOOPBACK_UP = """
import fcntl, socket, struct, sys
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 0x41))  # SIOCSIFFLAGS: up and running
print("up", flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Folder:
    """A folder or file of this machine that a container sees at ``inside``."""

    outside: Path
    inside: str
    read_only: bool = False


def environment_of(dockerfile: Path) -> dict[str, str]:
    """What a Dockerfile sets by ``ENV``."""
    text = dockerfile.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^ENV (.+)$", text, re.MULTILINE)
    told = dict(word.split("=", 1) for line in lines for word in shlex.split(line))
    return {name: value.replace("$PATH", "/usr/local/bin:/usr/bin:/bin") for name, value in told.items()}


def command_of(dockerfile: Path) -> list[str]:
    """The last ``CMD`` of a Dockerfile."""
    commands = re.findall(r"^CMD \[(.+)\]$", dockerfile.read_text(encoding="utf-8"), re.MULTILINE)
    return [word.strip().strip('"') for word in commands[-1].split(",")]


def host(root: Path) -> list[Folder]:
    """What a container needs in ``root`` to use this machine's own programs."""
    shared = [Path("/") / name for name in SHARED]
    for path in shared:
        if path.is_symlink():
            (root / path.name).symlink_to(path.readlink())
    return [Folder(path, str(path), read_only=True) for path in shared if path.is_dir() and not path.is_symlink()]


def checkout(root: Path) -> list[Folder]:
    """As :func:`host`, with the checkout and the shipped model at ``/app`` and its Python at ``/venv``, as in images.

    Programs of a virtual environment name their Python by its path; in ``root`` they get one of their own.
    """
    from tests.shipped import shipped_model  # not to be found where this file is run as a program

    programs, python = root / "venv" / "bin", Path(sys.base_prefix)
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(python / "bin" / f"python{sysconfig.get_python_version()}")
    (programs.parent / "pyvenv.cfg").write_text((Path(sys.prefix) / "pyvenv.cfg").read_text())
    for name in ("fedhealth", "mlflow"):
        _, rest = (Path(sys.prefix) / "bin" / name).read_text().split("\n", 1)
        (programs / name).write_text(f"#!/venv/bin/python\n{rest}")
        (programs / name).chmod(0o755)
    own = [Folder(python, str(python)), Folder(Path(sys.prefix) / "lib", "/venv/lib"), Folder(ROOT, "/app")]
    own.append(Folder(shipped_model(root / "shipped"), "/app/models"))
    return [*host(root), *(replace(folder, read_only=True) for folder in own)]


def contained(
    root: Path,
    folders: Sequence[Folder],
    environment: Mapping[str, str],
    command: Sequence[str],
    network: int | None = None,
    capabilities: Sequence[str] = (),
    user: int = USER,
) -> list[str]:
    """The command line that runs ``command`` contained.

    Args:
        root: the container's files; what it needs for ``folders`` is made there.
        folders: what it sees of this machine; may be written to unless read-only.
        environment: all that the command finds set.
        command: program and arguments; starts in ``/app``.
        network: process whose network it shares; default this machine's.
        capabilities: of root, as Compose names them; none by default.
        user: number of the user and group.
    """
    table = "\n".join(f"{f.outside}:{f.inside}:{'ro' if f.read_only else 'rw'}" for f in folders)
    given = "".join(f",+{name.lower()}" for name in capabilities)
    settings = ["env", "-i", *(f"{name}={value}" for name, value in {"HOME": "/data", **environment}.items())]
    joined = [] if network is None else ["nsenter", f"--net=/proc/{network}/ns/net"]
    setup = ["unshare", "--mount", "sh", "-euc", SETUP, "sh", str(root), table, given, str(user)]
    return [*joined, *setup, *settings, *command]


@contextmanager
def network() -> Iterator[int]:
    """A network of nothing but loopback: the number of a process that is in it."""
    command = ["unshare", "--net", sys.executable, "-c", LOOPBACK_UP]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"up\n"
        yield holder.pid
        holder.stdin.close()


def main() -> None:
    """Become a command in an image's files, on this machine's network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dockerfile", type=Path)
    parser.add_argument("files", type=Path, help="The image's files; mount points are made there.")
    parser.add_argument("command", nargs="*")
    told = parser.parse_args()
    data = Path(tempfile.mkdtemp())
    os.chown(data, USER, USER)
    command = told.command or command_of(told.dockerfile)
    line = contained(told.files, [Folder(data, "/data")], environment_of(told.dockerfile), command)
    os.execvp(line[0], line)


if __name__ == "__main__":
    main()
