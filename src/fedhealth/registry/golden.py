"""Golden rows: made-up people whose risks a bundle knows, so that whoever serves it can show that it computes the same.

They are drawn over the allowed ranges of the study's features and tell nothing of real people.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fedhealth.model import RiskModel
from fedhealth.model.design import Floats
from fedhealth.study import Feature, Study

ROWS, SEED = 24, 0
PATTERNS = 4  # sets of features that are known of somebody: all, and three more
DECIMALS = 9  # of the risks, so that the last bits of a sum do not change a bundle's hash
TOLERANCE = 1e-8


@dataclass(frozen=True)
class Golden:
    """Rows, shape ``(n, d)``, NaN where missing, and their risks (0..1), shape ``(n,)``."""

    rows: Floats
    risks: Floats

    def difference(self, risks: Floats) -> float:
        """The largest difference between ``risks`` that were found for the rows and theirs; infinite where not finite.

        Risks that differ by at most ``TOLERANCE`` are the same.
        """
        apart = np.abs(risks - self.risks)
        return float(apart.max()) if np.isfinite(apart).all() else float("inf")

    def as_dict(self) -> dict[str, Any]:
        """Plain lists for JSON, None where a value is missing."""
        return {"rows": with_none(self.rows), "risks": with_none(np.round(self.risks, DECIMALS))}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Golden":
        """What :meth:`as_dict` gave."""
        return cls(np.array(content["rows"], dtype=np.float64), np.array(content["risks"], dtype=np.float64))


def golden_of(study: Study, model: RiskModel) -> Golden:
    """The golden rows of a study, the same for all its models, and their risks under ``model``."""
    rng = np.random.default_rng(SEED)
    rows = np.column_stack([_draw(feature, rng) for feature in study.features])
    known = rng.random((PATTERNS, rows.shape[1])) < 0.7
    known[0], known[:, 0] = True, True  # nobody of whom nothing is known
    seen = known[np.arange(ROWS) % PATTERNS]
    return Golden(np.where(seen, rows, np.nan), model.risk(np.where(seen, rows, 0.0), seen))


def _draw(feature: Feature, rng: np.random.Generator) -> Floats:
    if feature.kind == "number":
        return np.round(rng.uniform(feature.low, feature.high, ROWS), 3)
    return rng.integers(0, int(feature.high) + 1, ROWS).astype(np.float64)


def with_none(array: Floats) -> list[Any]:
    """Nested lists, None for NaN."""
    return [_none_for_nan(row) for row in array.tolist()]


def _none_for_nan(value: Any) -> Any:
    if isinstance(value, list):
        return [_none_for_nan(inner) for inner in value]
    return None if value != value else value
