"""From values to a risk: one bundle, ready to answer."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import msgspec
import numpy as np

from fedhealth.model import Scorecard, sigmoid
from fedhealth.model.design import Floats
from fedhealth.model.missing import patterns
from fedhealth.registry import Bundle
from fedhealth.registry.golden import TOLERANCE
from fedhealth.serving.batch import BatchBody
from fedhealth.serving.schema import PredictionBody, example_of
from fedhealth.serving.weaker import weaker_groups
from fedhealth.study import Feature

CHUNK = 2_000  # rows scored together: what fits the processor's cache
REMEMBERED = 128  # scorecards, of up to 100 kB each
FEW = 8  # scorecards that may be made while other requests wait
Values = dict[str, float]


@dataclass(frozen=True)
class Predictor:
    """A bundle and the body that its study asks for. ``Values`` are by feature name, in the study's order."""

    bundle: Bundle
    body: PredictionBody

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> "Predictor":
        """A predictor that has been tried: it scores the bundle's golden rows as the bundle says.

        Raises:
            ValueError: the model gives no finite risk or another one for a golden row, or cannot be described in JSON.
            KeyError: the bundle lacks a fact.
        """
        predictor = cls(bundle, PredictionBody(bundle.study))
        trial = predictor.predict({f.name: (f.low + f.high) / 2 for f in bundle.study.features if f.kind == "number"})
        if not np.isfinite([trial["risk_score"], *trial["risk_interval"], trial["threshold"]]).all():
            raise ValueError(f"model {bundle.version} gives no finite risk; train it again")
        if (apart := predictor.golden_difference()) > TOLERANCE:
            raise ValueError(f"model {bundle.version} is scored differently here: golden rows are off by {apart:.1e}")
        json.dumps(predictor.description, allow_nan=False)
        return predictor

    def predict(self, values: Values) -> dict[str, Any]:
        """The answer for a person with ``values``; every other feature counts as missing."""
        names, threshold = tuple(values), self._threshold
        score = self._card(names).score(tuple(values.values()))
        risk = _probability(score.logit)
        return {
            "risk_score": risk,
            "high_risk": risk >= threshold,
            "risk_interval": [min(_probability(score.low), risk), max(_probability(score.high), risk)],
            "missing": self._missing(names),
            "model_version": self.bundle.version,
            "threshold": threshold,
        }

    def explain(self, values: Values) -> dict[str, Any]:
        """What each of ``values`` adds to the log-odds of an average person of whom the same is known."""
        names = tuple(values)
        card = self._card(names)
        added = card.contributions(tuple(values.values()))
        logit = card.base + sum(added)
        return {
            "risk_score": _probability(logit),
            "logit": logit,
            "base_risk": _probability(card.base),
            "base_logit": card.base,
            "contributions": [
                {"feature": name, "value": value, "contribution": part}
                for name, value, part in sorted(zip(names, values.values(), added, strict=True), key=_size)
            ],
            "missing": self._missing(names),
            "model_version": self.bundle.version,
        }

    def risks(self, x: Floats) -> Floats:
        """Risks, shape ``(n,)``, of rows ``x`` of shape ``(n, d)`` in the study's order, NaN where missing."""
        found = np.zeros(len(x))
        names = np.array(self.bundle.study.names)
        for seen, rows in patterns(~np.isnan(x)):
            card = self._card(tuple(names[seen].tolist()))
            found[rows] = sigmoid(card.logits(x[np.ix_(rows, seen)]))
        return found

    def predict_batch(self, names: tuple[str, ...], x: Floats) -> dict[str, Any]:
        """The answer for the rows of ``x``, shape ``(n, s)``, of the features ``names`` alone, NaN where missing."""
        risks = np.concatenate([self._risks_of(names, x[start : start + CHUNK]) for start in range(0, len(x), CHUNK)])
        return {
            "model_version": self.bundle.version,
            "threshold": self._threshold,
            "risk_score": risks.tolist(),
            "high_risk": (risks >= self._threshold).tolist(),
        }

    def answer_batch(self, raw: bytes) -> bytes:
        """The same from a client's body to the answer's.

        Raises:
            Refused: the body is not what :class:`BatchBody` takes.
        """
        return msgspec.json.encode(self.predict_batch(*self.batch.parse(raw)))

    def answer_batch_at_once(self, raw: bytes) -> bytes | None:
        """The same, or None where it would take long: many people of whom different features are known.

        Raises:
            Refused: the body is not what :class:`BatchBody` takes.
        """
        names, x = self.batch.parse(raw)
        missing = np.isnan(x)
        if missing.any() and len(list(patterns(~missing))) > FEW:
            return None
        return msgspec.json.encode(self.predict_batch(names, x))

    def _risks_of(self, names: tuple[str, ...], x: Floats) -> Floats:
        if not np.isnan(x).any():
            return np.asarray(sigmoid(self._card(names).logits(x)))
        whole = np.full((len(x), len(self.bundle.study.names)), np.nan)
        whole[:, [self.bundle.study.index(name) for name in names]] = x
        return self.risks(whole)

    @cached_property
    def _threshold(self) -> float:
        return self.bundle.threshold

    @cached_property
    def batch(self) -> BatchBody:
        """The body that many people are asked for in."""
        return BatchBody(self.body)

    def golden_difference(self) -> float:
        """The largest difference between the risks that the bundle knows of its golden rows and those found here."""
        names, rows = self.bundle.study.names, self.bundle.golden.rows
        known = [{n: v for n, v in zip(names, row, strict=True) if v == v} for row in rows.tolist()]
        return self.bundle.golden.difference(np.array([self.predict(values)["risk_score"] for values in known]))

    @cached_property
    def _card(self) -> Callable[[tuple[str, ...]], Scorecard]:
        """The scorecard for people of whom these features are known; those asked for last are remembered."""
        model, names = self.bundle.model, self.bundle.study.names
        return lru_cache(REMEMBERED)(lambda known: Scorecard.of(model, np.isin(names, known)))

    @cached_property
    def _missing(self) -> Callable[[tuple[str, ...]], list[str]]:
        names = self.bundle.study.names
        return lru_cache(REMEMBERED)(lambda known: [name for name in names if name not in known])

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
            "synthetic_nodes": facts.get("synthetic_nodes") or [],
            "weaker_groups": weaker_groups(study, facts),
        }


def _probability(logit: float) -> float:
    """The logistic function, without overflow."""
    if logit >= 0:
        return 1.0 / (1.0 + math.exp(-logit))
    odds = math.exp(logit)
    return odds / (1.0 + odds)


def _size(part: tuple[str, float, float]) -> float:
    return -abs(part[2])


def _described(feature: Feature) -> dict[str, Any]:
    plain = ("name", "title", "modality", "kind", "unit", "low", "high", "levels", "changeable", "allowed", "loinc")
    return {name: getattr(feature, name) for name in plain} | {"example": example_of(feature)}
