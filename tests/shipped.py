"""The model that FedHealth ships, without what was published since in this checkout."""

import shutil
from pathlib import Path

from fedhealth.registry.bundle import FILES
from fedhealth.registry.signing import SIGNATURE

MODELS = Path(__file__).parents[1] / "models"


def shipped_model(folder: Path) -> Path:
    """``folder``, made with a copy of the bundle and its signature."""
    folder.mkdir(parents=True)
    for name in (*FILES, SIGNATURE):
        shutil.copy(MODELS / name, folder)
    return folder
