"""From a body to a risk: one bundle, ready to answer."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fedhealth.registry import Bundle
from fedhealth.serving.schema import PredictionBody, example_of
from fedhealth.study import Feature


@dataclass(frozen=True)
class Predictor:
    """A bundle and the body that its study asks for."""

    bundle: Bundle
    body: PredictionBody

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> "Predictor":
        """A predictor that has been tried once.

        Raises:
            ValueError: the model gives no finite risk, or cannot be described in JSON.
            KeyError: the bundle lacks a fact.
        """
        predictor = cls(bundle, PredictionBody(bundle.study))
        trial = predictor.predict({f.name: (f.low + f.high) / 2 for f in bundle.study.features if f.kind == "number"})
        if not np.isfinite([trial["risk_score"], *trial["risk_interval"], trial["threshold"]]).all():
            raise ValueError(f"model {bundle.version} gives no finite risk; train it again")
        json.dumps(predictor.description, allow_nan=False)
        return predictor

    def predict(self, values: dict[str, float]) -> dict[str, Any]:
        """The answer for a person with ``values`` by feature name; every other feature counts as missing."""
        study, model = self.bundle.study, self.bundle.model
        x, observed = np.zeros((1, len(study.names))), np.zeros((1, len(study.names)), dtype=bool)
        for name, value in values.items():
            column = study.index(name)
            x[0, column], observed[0, column] = value, True
        risk = float(model.risk(x, observed)[0])
        low, high = model.interval(x, observed)[0].tolist()
        return {
            "risk_score": risk,
            "high_risk": risk >= self.bundle.threshold,
            "risk_interval": [min(low, risk), max(high, risk)],
            "missing": [name for name in study.names if name not in values],
            "model_version": self.bundle.version,
            "threshold": self.bundle.threshold,
        }

    @cached_property
    def description(self) -> dict[str, Any]:
        """What people may know about the model: its study, threshold and metrics."""
        study, facts = self.bundle.study, self.bundle.facts
        outcome = study.outcome
        return {
            "model_version": self.bundle.version,
            "study": {"name": study.name, "title": study.title, "hash": study.hash},
            "outcome": {"name": outcome.name, "title": outcome.title, "window_days": outcome.window_days},
            "features": [_described(feature) for feature in study.features],
            "threshold": facts["threshold"],
            "metrics": facts.get("metrics"),
            "synthetic": facts.get("synthetic"),
        }


def _described(feature: Feature) -> dict[str, Any]:
    plain = ("name", "title", "modality", "kind", "unit", "low", "high", "levels", "changeable", "allowed", "loinc")
    return {name: getattr(feature, name) for name in plain} | {"example": example_of(feature)}
