"""What the server checks before it adds an answer: whoever sends what no honest node could is refused by name."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from fedhealth.federation import Contribution
from fedhealth.privacy import EXITS

MOST_ROWS = 10**12
COUNTS = (
    "rows",
    "seen",
    "counts",
    "positives",
    "negatives",
    "coverage",
    "correct",
    "true_positives",
    "true_negatives",
    "training_rows",
    "by_stratum",
    "stratum_rows",
    "stratum_seen",
)


def faults(step: str, answers: Mapping[str, Contribution]) -> dict[str, str]:
    """Why answers to ``step`` cannot be added, by the name of the node that sent them; empty if all can."""
    usual = Counter(_form(answer) for answer in answers.values()).most_common(1)
    found = {name: _fault(step, answer) for name, answer in answers.items()}
    for name, answer in answers.items():
        if not found[name] and _form(answer) != usual[0][0]:
            found[name] = f"its arrays are {_words(answer)}; the other nodes' are {_words_of(usual[0][0])}"
    return {name: why for name, why in found.items() if why}


def _fault(step: str, answer: Contribution) -> str:
    if not 0 <= answer.rows <= MOST_ROWS:
        return f"it claims {answer.rows:,} rows; expected 0 to {MOST_ROWS:,}"
    if not 0 <= answer.noise < np.inf:
        return f"it claims noise of {answer.noise}; expected 0 or more"
    if strange := EXITS[step].unknown(answer):
        return f"it holds {', '.join(map(repr, strange))}; expected {', '.join(EXITS[step].arrays)}"
    for name, array in answer.sums.items():
        if not np.isfinite(array).all():
            return f"{name!r} holds a value that is not finite"
        if not EXITS[step].noisy and name.removeprefix("group.") in COUNTS and (array < 0).any():
            return f"{name!r} counts, and holds {array.min():g}; expected 0 or more"
    return ""


def _form(answer: Contribution) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((name, np.shape(array)) for name, array in sorted(answer.sums.items()))


def _words(answer: Contribution) -> str:
    return _words_of(_form(answer))


def _words_of(form: tuple[tuple[str, tuple[int, ...]], ...]) -> str:
    return ", ".join(f"{name} {'x'.join(map(str, shape)) or 'number'}" for name, shape in form)
