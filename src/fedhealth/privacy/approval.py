"""A node's owner approves a study, by hash, before the node takes part: a changed study has another hash."""

from collections.abc import Sequence
from pathlib import Path

from fedhealth.study import Study


def approvals_file(data: Path, node: str) -> Path:
    """Where the approvals of ``node`` stand, one a line: a study's hash, then the features that are withheld."""
    return data / f"{node}.approved"


def is_approved(study: Study, node: str, data: Path) -> bool:
    """Whether the owner approved just this study."""
    return _latest(study, node, data) is not None


def withheld_features(study: Study, node: str, data: Path) -> tuple[str, ...]:
    """Features that the owner withheld when approving this study last."""
    return tuple(_latest(study, node, data) or ())


def approve(study: Study, node: str, data: Path, without: Sequence[str] = ()) -> None:
    """Note the owner's approval: consent to what is told of every feature but those ``without``; the latest counts."""
    if _latest(study, node, data) != list(without):
        with approvals_file(data, node).open("a", encoding="utf-8") as file:
            file.write(" ".join([study.hash, *without]) + "\n")


def _latest(study: Study, node: str, data: Path) -> list[str] | None:
    path = approvals_file(data, node)
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return next((line.split()[1:] for line in reversed(lines) if line.split()[:1] == [study.hash]), None)
