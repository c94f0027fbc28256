"""The commands that README.md and docs/ tell readers to type, taken from their text."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROGRAMS = {
    *("fedhealth", "python", "python3", "make", "uvicorn", "streamlit", "docker", "curl", "pip"),
    *("pg_dump", "pg_restore", "tar", "cp", "mkdir", "cd", "source", ".venv/bin/pip", ".venv/bin/jupyter"),
}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Documented:
    """A command as it stands on a page; ``block`` if it stands in a block to be copied, not in a sentence."""

    page: str
    text: str
    block: bool

    @property
    def words(self) -> list[str]:
        """The program and its arguments, without comment and brackets around what is optional."""
        return shlex.split(self.text.replace("[", "").replace("]", ""), comments=True)

    @property
    def program(self) -> str:
        """What is called, without variables that are set before it."""
        return next(word for word in self.words if not re.match(r"[A-Z_]+=", word))


def documented() -> list[Documented]:
    """All commands, page by page, in the order in which they stand there."""
    return [command for page in PAGES for command in _on(page)]


def blocks(page: Path) -> str:
    """All that a page gives to be copied, as one script."""
    return "".join(found[2] for found in BLOCK.finditer(page.read_text(encoding="utf-8")) if found[1] == "sh")


def _on(page: Path) -> Iterator[Documented]:
    name, text, last = str(page.relative_to(ROOT)), page.read_text(encoding="utf-8"), 0
    for found in BLOCK.finditer(text):
        yield from _in_sentences(name, text[last : found.start()])
        yield from (Documented(name, command, True) for command in _whole(found[2]) if found[1] == "sh")
        last = found.end()
    yield from _in_sentences(name, text[last:])


def _in_sentences(name: str, text: str) -> Iterator[Documented]:
    for code in re.findall(r"`([^`\n]+)`", text):
        if code.split()[0] in PROGRAMS and " " in code:
            yield Documented(name, code, False)


def _whole(block: str) -> Iterator[str]:
    """Commands of a block, those over several lines (a quote or a here-document that is still open) as one."""
    whole = ""
    for line in block.splitlines(keepends=True):
        whole += line
        if whole.strip() and not _open(whole):
            yield whole.strip()
            whole = ""


def _open(text: str) -> bool:
    here = re.search(r"<<'(\w+)'$", text, re.MULTILINE)
    if here:
        return not text.endswith(f"\n{here[1]}\n")
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return True
    return False
