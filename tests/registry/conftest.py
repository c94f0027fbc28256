"""A folder of runs, and one of models in which nothing was published yet."""

import pytest
from tests.federation.worlds import STUDY, draw_rows

from fedhealth.federation import exchange_within, fit
from fedhealth.registry import write_bundle

FIT = fit(STUDY, exchange_within([draw_rows(200, seed=1)], STUDY), penalty=(30.0, 3.0))


@pytest.fixture
def runs(tmp_path):
    """Three runs' folders, a, b and c, each with a bundle of its own."""
    for seed, name in enumerate("abc"):
        write_bundle(tmp_path / "runs" / name, STUDY, FIT.model, FIT.reference, {"seed": seed}, f"# {name}\n")
    return tmp_path / "runs"


@pytest.fixture
def models(tmp_path):
    return tmp_path / "models"
