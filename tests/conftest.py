import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# As fedhealth has it wherever it comes before NumPy: with a thread for each core, workers mostly wait for each other.
# NumPy and PyTorch read this when they are imported, which is later.
os.environ.setdefault("OMP_NUM_THREADS", "1")

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


@pytest.fixture(scope="session", autouse=True)
def own_keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of keys made by tests: none of them is kept, or trusted, where people work."""
    folder = tmp_path_factory.mktemp("keys")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEDHEALTH_SIGNING_KEY_FILE", str(folder / "signing.key"))
        patch.setenv("FEDHEALTH_TRUSTED_KEYS_FILE", str(folder / "trusted_keys.toml"))
        yield folder


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Debian's Chromium."""
    from tests.browsing import chromium  # brings Playwright along

    with chromium() as opened:
        yield opened
