import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# For tests marked ``fuzz``: ``@settings.get_profile("fuzz")``.
EXAMPLES = int(os.environ.get("FEDHEALTH_FUZZ_EXAMPLES", "25"))
settings.register_profile(
    "fuzz", max_examples=EXAMPLES, deadline=10_000, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)


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
