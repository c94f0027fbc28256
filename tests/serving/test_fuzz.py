"""Whatever is sent, the server does what it says of itself: 250 requests in all, with ``make fuzz`` 10,000.

Where ``FEDHEALTH_FUZZ_EXAMPLES`` is set, it says how many; at least 1,000.
"""

import os
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import BaseSchema, Case, GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from fedhealth.registry import Bundle
from fedhealth.serving import create_app
from fedhealth.serving.access import NEEDS

load_all_checks()
KEY = {"X-API-Key": "a key for tests"}
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
ASKED_FOR = os.environ.get("FEDHEALTH_FUZZ_EXAMPLES")
EXAMPLES = min(max(int(ASKED_FOR), 1_000), 10_000) if ASKED_FOR else 250
PLAIN = {
    "/model",
    "/health",
    "/ready",
    "/metrics",
    "/cities",
    "/alerts/rules",
    "/runs",
    "/evaluation",
    "/nodes",
    "/privacy",
    "/promotion",
}
ASKED = [(*route, mode) for route in NEEDS for mode in MODES if mode is MODES[0] or route[1] not in PLAIN]  # no input


@pytest.fixture(scope="module")
def described(folder, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaseSchema]:
    """The API over a store of its own, as schemathesis reads it."""
    place = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", f"sqlite:///{place / 'store.db'}")
        patch.setenv("FEDHEALTH_RUNS", str(place / "runs"))
        yield schemathesis.openapi.from_asgi("/openapi.json", create_app(folder))


@pytest.mark.fuzz
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("method", "path", "mode"), ASKED)
def test_the_server_does_what_its_description_says(described: BaseSchema, method: str, path: str, mode: GenerationMode):
    # What fits the description may still be refused: nothing but nulls, columns of unlike length, unknown cities.
    # With a key, its absence counts as a violation that is accepted: schemathesis takes it away, and we send it.
    excluded = [positive_data_acceptance] + ([negative_data_rejection] if NEEDS[method, path] else [])

    @given(case=described[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=-(-EXAMPLES // len(ASKED)), deadline=None, suppress_health_check=list(HealthCheck))
    def ask(case: Case) -> None:
        answer = case.call_and_validate(headers=KEY, excluded_checks=excluded)
        assert answer.status_code < 500 or answer.status_code == 503

    ask()
