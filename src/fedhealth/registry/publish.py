"""Publishing: which bundle is served, and an append-only history of how it came there."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

from fedhealth.registry.bundle import Bundle, BundleError, load_bundle

FILES = (
    "model.safetensors",
    "MODEL_CARD.md",
    "bundle.json",
)  # bundle.json last: a reader never sees it early


def publish(run: Path, models: Path) -> Bundle:
    """Make the verified bundle in ``run`` the one in ``models``, and append to ``models/history.jsonl``.

    Nothing is written where ``models`` already holds that bundle.

    Raises:
        BundleError: the bundle in ``run`` is absent or damaged.
    """
    bundle = load_bundle(run)
    if _published(models) == bundle.hash:
        return bundle
    models.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        staged = models / f".{name}.new"
        shutil.copyfile(run / name, staged)
        staged.replace(models / name)
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "action": "publish",
        "hash": bundle.hash,
    }
    with (models / "history.jsonl").open("a", encoding="utf-8") as history:
        history.write(json.dumps({**entry, "study": bundle.study.name, "run": run.name}) + "\n")
    return load_bundle(models)


def _published(models: Path) -> str | None:
    try:
        return load_bundle(models).hash
    except BundleError:
        return None
