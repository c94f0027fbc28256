"""MLflow's mirror, put away where a test is about something else."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fedhealth.cli import promote, run_folders


@contextmanager
def without_mlflow() -> Iterator[None]:
    """Neither runs nor promotions are mirrored in MLflow, which has tests of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_folders, "find_spec", lambda _: None)
        patch.setattr(promote, "mirror", lambda models, runs: None)
        yield
