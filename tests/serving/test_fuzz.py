import pytest
from hypothesis import HealthCheck, given, settings
from schemathesis import BaseSchema, Case, GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import positive_data_acceptance

load_all_checks()


NEGATIVE, POSITIVE = GenerationMode.NEGATIVE, GenerationMode.POSITIVE


@pytest.mark.parametrize(
    ("method", "path", "mode", "requests"),
    [
        ("POST", "/predict", POSITIVE, 100),
        ("POST", "/predict", NEGATIVE, 100),
        ("POST", "/explain", POSITIVE, 50),
        ("POST", "/explain", NEGATIVE, 50),
        ("GET", "/health", POSITIVE, 5),
        ("GET", "/ready", POSITIVE, 5),
        ("GET", "/model", POSITIVE, 5),
    ],
)
def test_the_server_does_what_its_description_says(
    api_schema: BaseSchema, method: str, path: str, mode: GenerationMode, requests: int
):
    # A body of nothing but nulls fits the description and is refused: JSON Schema has no short word for it.
    @given(case=api_schema[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=requests, deadline=None, suppress_health_check=list(HealthCheck))
    def ask(case: Case) -> None:
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    ask()
