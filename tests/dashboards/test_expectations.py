"""``docs/expectations.md`` names a test, picture or benchmark for each line; here each of these must exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINE = re.compile(r"^\| (\d+) \| (.+?) \| (met|partly|not yet|to be judged) \| (.+?) \|$", re.MULTILINE)


def lines() -> list[tuple[str, str, str, str]]:
    text = (ROOT / "docs/expectations.md").read_text(encoding="utf-8")
    return [match.groups() for match in LINE.finditer(text)]  # type: ignore[misc]


def test_there_are_two_lists_of_thirty():
    assert [int(number) for number, *_ in lines()] == [*range(1, 31), *range(1, 31)]


def test_all_that_is_named_exists():
    for number, what, standing, proof in lines():
        named = re.findall(r"`(\S+?)::(test_\w+)`", proof)
        pictures = re.findall(r"\]\((pictures/[\w.]+)\)", proof)
        benchmarks = re.findall(r"`(benchmarks/\w+\.py)`", proof)
        assert standing == "not yet" or named or pictures or benchmarks, f"{number}, {what}: nothing proves it"
        assert all((ROOT / one).is_file() for one in benchmarks), f"{number}, {what}: {benchmarks}"
        for file, test in named:
            text = (ROOT / "tests" / file).read_text(encoding="utf-8")
            assert f"def {test}(" in text, f"{number}, {what}: {file} has no {test}"
        assert all((ROOT / "docs" / one).is_file() for one in pictures), f"{number}, {what}: {pictures}"
