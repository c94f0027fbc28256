import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder that FEDHEALTH_REAL_DATA names; without it a test skips, or fails if all must run."""
    folder = Path(os.environ.get("FEDHEALTH_REAL_DATA", ""))
    if "FEDHEALTH_REAL_DATA" in os.environ and folder.is_dir():
        return folder.resolve()
    reason = "needs real data: set FEDHEALTH_REAL_DATA to its folder"
    if os.environ.get("FEDHEALTH_REQUIRE_ALL") == "1":
        pytest.fail(f"{reason} (FEDHEALTH_REQUIRE_ALL=1 forbids skipping)")
    pytest.skip(reason)
