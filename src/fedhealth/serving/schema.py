"""The body of ``POST /predict``, derived from the study: its pydantic model, its JSON schema and its example."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from fedhealth.serving.errors import Refused, problem, problems_of
from fedhealth.study import Feature, Study

Value = float | bool | str
FLAG: Mapping[float, float] = {0.0: 0.0, 1.0: 1.0}


@dataclass(frozen=True, eq=False)
class PredictionBody:
    """What a client may send: any of the study's features by name, each optional or null, at least one present."""

    study: Study

    def parse(self, raw: bytes) -> dict[str, float]:
        """The values that a body gives, by feature name in the study's order; a category is its level's position.

        Raises:
            Refused: the body is not JSON, gives no value, or a field is unknown, of another type or out of range.
        """
        try:
            given = self._model.model_validate_json(raw).model_dump(by_alias=True, exclude_none=True)
        except ValidationError as error:
            raise Refused(problems_of(error, raw, self.study)) from None
        if not given:
            anything = f"at least one of {', '.join(self.study.names)}"
            raise Refused([problem(None, None, "no feature has a value", anything)])
        return self._numbers(given.items())

    def parse_quickly(self, raw: bytes) -> dict[str, float] | None:
        """The same for a well-formed body, much faster; None for one that :meth:`parse` is to judge."""
        try:
            given = msgspec.structs.astuple(self._decoder.decode(raw))
            return {
                name: value if codes is None else codes[value]
                for (name, codes), value in zip(self._codes_in_order, given, strict=True)
                if value is not None
            } or None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
            return None

    @cached_property
    def _codes_in_order(self) -> list[tuple[str, Mapping[Any, float] | None]]:
        return [(name, self._codes.get(name)) for name in self.study.names]

    @cached_property
    def _decoder(self) -> msgspec.json.Decoder[Any]:
        fields = [(f"field_{i}", quickly_accepted(f) | None, None) for i, f in enumerate(self.study.features)]
        rename = {f"field_{i}": name for i, name in enumerate(self.study.names)}
        return msgspec.json.Decoder(
            msgspec.defstruct("Features", fields, rename=rename, forbid_unknown_fields=True, gc=False)
        )

    def _numbers(self, given: Iterable[tuple[str, Value | None]]) -> dict[str, float]:
        codes = self._codes
        return {
            name: codes[name][value] if name in codes else float(value) for name, value in given if value is not None
        }

    @cached_property
    def _codes(self) -> dict[str, Mapping[Any, float]]:
        """What may be written for flags (0 also as 0.0 or false) and categories, and the number that it stands for."""
        return {f.name: f.values or FLAG for f in self.study.features if f.kind != "number"}

    @cached_property
    def _model(self) -> type[BaseModel]:
        """Fields go by alias, so that a feature may have any name, also one that pydantic keeps for itself."""
        fields: dict[str, Any] = {f"field_{i}": _field(feature) for i, feature in enumerate(self.study.features)}
        return create_model(
            "Features",
            __config__=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False),
            __doc__=f"What is known about a person: at least one of these; the others are absent or null. "
            f"Predicted is {self.study.outcome.title}.",
            **fields,
        )

    @cached_property
    def example(self) -> dict[str, Value]:
        """The study's example person, as a client would send it; empty if the study has none."""
        examples = {feature.name: example_of(feature) for feature in self.study.features}
        return {name: example for name, example in examples.items() if example is not None}

    @cached_property
    def json_schema(self) -> dict[str, Any]:
        """The same in JSON Schema, for OpenAPI."""
        return self._model.model_json_schema() | {"minProperties": 1}


def example_of(feature: Feature) -> Value | None:
    """A feature's example as a client would send it: whole numbers without a point, a level by its name."""
    if feature.example is None:
        return None
    if feature.kind == "category":
        return feature.levels[int(feature.example)]
    return int(feature.example) if feature.example.is_integer() else feature.example


def _field(feature: Feature) -> tuple[Any, Any]:
    example = example_of(feature)
    described = Field(
        default=None,
        alias=feature.name,
        title=feature.title,
        description=f"{feature.title}: {feature.allowed}",
        examples=None if example is None else [example],
        json_schema_extra={"x-unit": feature.unit} if feature.kind == "number" else None,
    )
    return _accepted(feature) | None, described


def _accepted(feature: Feature) -> Any:
    if feature.kind == "category":
        return Literal[feature.levels]
    if feature.kind == "flag":
        return Annotated[int, Field(ge=0, le=1), BeforeValidator(_whole)] | bool
    return Annotated[float, Field(ge=feature.low, le=feature.high)]


def quickly_accepted(feature: Feature) -> Any:
    """What the fast decoder takes; a flag may still be a number that is neither 0 nor 1: it has no code."""
    if feature.kind == "category":
        return Literal[feature.levels]
    if feature.kind == "flag":
        return float | bool
    return Annotated[float, msgspec.Meta(ge=feature.low, le=feature.high)]


def _whole(value: object) -> object:
    """JSON knows one kind of number: 1.0 is 1."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
