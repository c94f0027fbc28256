"""``/advice``: safety rules first, then public guidance for the air, then other groups of people.

Rules and guidance need no model.
"""

from pydantic import BaseModel, Field

from fedhealth.serving.predictor import Predictor, Values
from fedhealth.study import Feature, Study
from fedhealth.study.advice.air import category_of
from fedhealth.study.advice.compare import can_be_compared, other_values, people_with
from fedhealth.study.advice.risk import Risk
from fedhealth.study.advice.safety import Rule, Safety
from fedhealth.study.advice.texts import say


class Warned(BaseModel):
    """A reading that raises a safety rule. Comes before everything else."""

    rule: str
    feature: str
    reading: float
    limit: float
    advice: str


class AirAdvice(BaseModel):
    """Public guidance for an air quality index: the same for everyone, not from the model."""

    aqi: float
    category: str
    symbol: str
    sensitive: str = Field(description="For people with heart or lung disease, older people, children, pregnant women")
    everyone: str = Field(description="For everyone else")
    source: str


class Comparison(BaseModel):
    """What the model says of people who differ in one thing that can be changed."""

    feature: str
    value: float
    risk_score: float = Field(ge=0, le=1)
    risk_interval: list[float] = Field(min_length=2, max_length=2)
    clear: bool = Field(description="Whether the ranges are apart")
    words: str


class Advice(BaseModel):
    """Safety first, then the air, then the estimate and other groups (empty and null where no model is loaded)."""

    safety: list[Warned]
    safety_note: str = Field(description="Who answers for the safety rules, and the emergency number")
    air: AirAdvice | None = Field(description="null where no air quality index was given")
    risk: str | None = Field(description="The estimate as a count of 100 people")
    comparisons: list[Comparison]
    note: str = Field(description="What comparisons do not say")


def advice(study: Study, predictor: Predictor | None, safety: Safety, values: Values) -> Advice:
    """What to tell a person with ``values``; nothing of it promises that a change would lower a risk."""
    own = Risk.of(predictor.predict(values)) if predictor else None
    return Advice(
        safety=[_warned(safety, rule, values[rule.feature]) for rule in safety.raised(values)],
        safety_note=_plain(safety.approval),
        air=_air(values["aqi"]) if "aqi" in values else None,
        risk=_estimate(study, own) if own else None,
        comparisons=_comparisons(study, predictor, values, own) if predictor and own else [],
        note=say("compare.caption"),
    )


def _warned(safety: Safety, rule: Rule, reading: float) -> Warned:
    words = _plain(safety.words(rule, reading))
    return Warned(rule=rule.name, feature=rule.feature, reading=reading, limit=rule.limit, advice=words)


def _air(index: float) -> AirAdvice:
    found = category_of(index)
    words = {"sensitive": found.sensitive, "everyone": found.everyone, "source": say("air.source")}
    return AirAdvice(aqi=index, category=found.name, symbol=found.symbol, **words)


def _estimate(study: Study, risk: Risk) -> str:
    outcome, (low, high) = study.outcome, risk.span
    key = "risk.of_100" if outcome.window_days else "risk.of_100_now"
    words = say(key, about=risk.about, outcome=outcome.title, days=outcome.window_days, low=low, high=high)
    return _plain(f"{words} {say('risk.estimate')}")


def _comparisons(study: Study, predictor: Predictor, values: Values, own: Risk) -> list[Comparison]:
    """One for each other value of each feature that the person gave and can change."""
    changeable = [feature for feature in study.features if feature.name in values and can_be_compared(feature)]
    return [
        _comparison(predictor, values, own, feature, value)
        for feature in changeable
        for value in other_values(feature, values[feature.name])
    ]


def _comparison(predictor: Predictor, values: Values, own: Risk, feature: Feature, value: float) -> Comparison:
    risk = Risk.of(predictor.predict({**values, feature.name: value}))
    clear = not risk.overlaps(own)
    words = people_with([(feature, value)], risk) + ("" if clear else f" {say('compare.overlap')}")
    return Comparison(
        feature=feature.name,
        value=value,
        risk_score=risk.value,
        risk_interval=[risk.low, risk.high],
        clear=clear,
        words=_plain(words),
    )


def _plain(words: str) -> str:
    """Without the asterisks that pages draw bold."""
    return words.replace("**", "")
