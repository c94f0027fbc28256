"""What a file is by its first bytes, whatever its name says."""

from pathlib import Path

PARQUET, ZIP = b"PAR1", b"PK"


def begins_with(path: Path, magic: bytes) -> bool:
    """Whether these are the file's first bytes."""
    with path.open("rb") as file:
        return file.read(len(magic)) == magic
