"""What exports hold, in standard terms, and which of it feeds a feature of a study.

A concept is one kind of reading with one unit and one rule that makes a day's value of its readings. A study's feature
says by its LOINC code (or, where there is none, by its name) what it is; several concepts may feed it, the first that a
day has counts. A feature that is not among them is fed by readings under its own LOINC code or name, averaged by day.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Literal

from fedhealth.data.aqi import SUBSTANCES
from fedhealth.data.imports.times import EPOCH_DAY
from fedhealth.study import Feature, Node, Study

Rule = Literal[
    "mean", "lowest", "night", "intervals", "largest", "sleep", "total",  # of a person's day
    "mean_24h", "max_1h", "max_8h", "max_8h_all",  # of a place's day
    "birth", "aged", "last", "ever",  # facts: known from a day on, not only on it
    "outcome",
]  # fmt: skip
PLACE_RULES: tuple[Rule, ...] = ("mean_24h", "max_1h", "max_8h", "max_8h_all")
FACTS: tuple[Rule, ...] = ("birth", "aged", "last", "ever")


@dataclass(frozen=True)
class Concept:
    """One kind of reading, kept in ``unit`` (UCUM).

    ``molar_mass`` (g/mol) lets a gas be given by mass or by volume; ``of_day`` is the unit of a day's value where
    that is another; ``highest`` is the highest plausible reading where no feature of the study says it.
    """

    name: str
    unit: str
    rule: Rule
    molar_mass: float = 0.0
    of_day: str = ""
    highest: float = inf

    @property
    def of_place(self) -> bool:
        """Whether it tells of the air of a city, not of a person."""
        return self.rule in PLACE_RULES or self.name == "aqi"


CONCEPTS = {
    concept.name: concept
    for concept in (
        Concept("resting_heart_rate", "/min", "mean"),
        Concept("heart_rate", "/min", "lowest"),  # readings of a day's wear, at rest or not
        Concept("pulse", "/min", "mean"),  # taken once, by someone, of someone who sits
        Concept("spo2", "%", "night"),
        Concept("steps", "{steps}", "intervals", of_day="{steps}/d"),
        Concept("daily_steps", "{steps}/d", "largest"),
        Concept("sleep", "h", "sleep"),  # a stretch asleep, from start to end
        Concept("sleep_duration", "h", "total"),
        Concept("birth_date", EPOCH_DAY, "birth", of_day="a"),
        Concept("age", "a", "aged"),
        Concept("sex", "1", "last"),
        Concept("smoker", "1", "last"),
        Concept("chronic", "1", "ever"),
        Concept("city", "1", "last"),  # where someone lives, which a reading of anything else may say too
        Concept("aqi", "{index}", "mean"),
        Concept("pm25", "ug/m3", "mean_24h", highest=1000),
        Concept("pm10", "ug/m3", "mean_24h", highest=1500),
        Concept("no2", "[ppb]", "max_1h", 46.006, highest=1000),
        Concept("so2", "[ppb]", "max_1h", 64.064, highest=2000),
        Concept("o3", "[ppb]", "max_8h", 47.998, highest=400),
        Concept("co", "[ppm]", "max_8h_all", 28.010, highest=100),
        Concept("temperature", "Cel", "mean_24h"),
        Concept("humidity", "%", "mean_24h"),
        Concept("wind_speed", "m/s", "mean_24h"),
    )
}
FED_BY = {
    "40443-4": ("resting_heart_rate", "heart_rate", "pulse"),
    "8867-4": ("pulse", "resting_heart_rate", "heart_rate"),
    "59408-5": ("spo2",),
    "2708-6": ("spo2",),
    "41950-7": ("daily_steps", "steps"),
    "93832-4": ("sleep_duration", "sleep"),
    "30525-0": ("birth_date", "age"),
    "72166-2": ("smoker",),
}


def concepts_of(feature: Feature) -> tuple[Concept, ...]:
    """What feeds ``feature``, the best first."""
    if feature.loinc in FED_BY:
        return tuple(CONCEPTS[name] for name in FED_BY[feature.loinc])
    if feature.name in CONCEPTS:
        return (CONCEPTS[feature.name],)
    rule: Rule = "mean" if feature.kind == "number" else "last"
    return (Concept(feature.loinc or feature.name, feature.unit, rule),)


def fed_features(study: Study, node: Node) -> tuple[Feature, ...]:
    """The features that ``node`` observes, after the study's anchors that it may hold besides."""
    own = tuple(f for f in study.features if f.name in node.features)
    return (*(f for f in study.features if f.anchor and f not in own), *own)


def outcome_concepts(study: Study) -> dict[str, Concept]:
    """The columns of the study's outcome, and the concept of each."""
    return {column: Concept(f"outcome {column}", "1", "outcome") for column in study.outcome.columns}


def wanted(study: Study, features: Iterable[Feature]) -> dict[str, Concept]:
    """Every concept that feeds one of ``features`` or the study's outcome, by name.

    Where the air quality index is a feature, the pollutants that it is computed from belong to them.
    """
    found = {concept.name: concept for feature in features for concept in concepts_of(feature)}
    extra = ("city", *(SUBSTANCES if "aqi" in found else ()))
    outcomes = outcome_concepts(study).values()
    return found | {name: CONCEPTS[name] for name in extra} | {concept.name: concept for concept in outcomes}
