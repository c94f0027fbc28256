"""The notebooks run from top to bottom, draw their pictures, and carry no output in the repository."""

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = {
    "01_eda": 5,
    "02_local_baseline": 3,
    "03_federated_vs_local": 3,
    "04_privacy_utility": 3,
}  # and how many pictures each draws


def read(name: str) -> Any:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def test_these_are_all() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(NOTEBOOKS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_no_output_is_kept(name: str) -> None:
    code = [cell for cell in read(name).cells if cell.cell_type == "code"]
    assert not [cell for cell in code if cell.outputs or cell.execution_count]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_says_that_the_data_are_synthetic(name: str) -> None:
    cells = read(name).cells
    assert cells[0].source.startswith("# ")
    assert "**The data are synthetic" in cells[0].source
    titles = [cell.source for cell in cells if "plt.show()" in cell.source]
    assert all("(synthetic)" in source for source in titles)


# A kernel on loopback and an event loop of its own: what they warn of is theirs.
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_runs(name: str, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "TMPDIR": str(tmp_path),
    }
    client = NotebookClient(
        read(name), timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    finished = client.execute(env=environment)
    outputs = [output for cell in finished.cells for output in cell.get("outputs", [])]
    assert len([o for o in outputs if "image/png" in o.get("data", {})]) == NOTEBOOKS[name]
    assert not [o for o in outputs if o.get("name") == "stderr"]
