"""What a node's owner lets out: limits in a TOML file beside the node's table, or one of the named policies."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from math import inf, isfinite
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fedhealth.data.shard import Shard
from fedhealth.federation import Contribution
from fedhealth.privacy.accounting import DELTA
from fedhealth.privacy.exits import EXITS
from fedhealth.study import Study


class PolicyRefusal(Exception):
    """The node's policy does not let a contribution out; the message names the node, what was asked and the rule."""


class PolicyError(Exception):
    """A policy file that cannot be used; the message names file, key, what was found and what was expected."""


@dataclass(frozen=True)
class Policy:
    """Limits on every contribution of a node.

    Attributes:
        name: how reports call this policy.
        minimum_rows: a sum over fewer rows (but not none) stays inside.
        minimum_class: fewest rows with each label for a step that reads labels.
        minimum_cell: a feature that fewer training rows observe stays inside, and so does a flag that fewer of them
            have, or have not (Ritchie & Elliot 2015: thresholds on every cell).
        rows_per_parameter: fewest rows for each parameter of an additive or logistic model whose gradient is summed;
            0 sets no limit.
        epsilon, delta: limit of what all noisy answers over the node's rows may tell of one row, for ever; while it
            is finite, an answer without noise stays inside.
        studies: hashes of studies (or their first 12 digits and more) that are answered; empty: any.
        steps: steps that are answered; empty: all that are declared.
    """

    name: str
    minimum_rows: int
    minimum_class: int
    minimum_cell: int
    rows_per_parameter: int
    epsilon: float = inf
    delta: float = DELTA
    studies: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        """SHA-256 over all limits, 64 hexadecimal digits: a policy that was changed has another."""
        return sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def admit(self, node: str, study_hash: str, step: str) -> None:
        """Raise PolicyRefusal unless the owner of ``node`` answers this step of this study."""
        if self.studies and not study_hash.startswith(self.studies):
            raise PolicyRefusal(
                f"{node} refused step {step!r}: its owner answers only studies "
                f"{', '.join(one[:HASH_DIGITS] for one in self.studies)}; this one is {study_hash[:HASH_DIGITS]}"
            )
        if self.steps and step not in self.steps:
            raise PolicyRefusal(f"{node} refused step {step!r}: its owner answers only {', '.join(self.steps)}")

    def check(self, node: str, step: str, contribution: Contribution) -> None:
        """Raise PolicyRefusal unless the contribution may leave ``node``."""
        if 0 < contribution.rows < self.minimum_rows:
            raise PolicyRefusal(
                f"{node} refused step {step!r}: it would sum over {contribution.rows} rows; its {self.name!r} policy "
                f"needs at least {self.minimum_rows}"
            )
        for name, array in contribution.sums.items():
            if not np.isfinite(array).all():
                raise PolicyRefusal(f"{node} refused step {step!r}: {name!r} holds a value that is not finite")
        parameters = contribution.sums["hessian"].shape[-1] if "hessian" in contribution.sums else 0
        if 0 < contribution.rows < self.rows_per_parameter * parameters:
            raise PolicyRefusal(
                f"{node} refused step {step!r}: a model of {parameters} parameters over {contribution.rows} rows; its "
                f"{self.name!r} policy needs at least {self.rows_per_parameter} rows for each"
            )
        for label in ("positives", "negatives"):
            rows = contribution.sums[label].sum() if label in contribution.sums else 0
            if 0 < rows < self.minimum_class:
                raise PolicyRefusal(
                    f"{node} refused step {step!r}: only {rows:.0f} rows are {label}; its {self.name!r} policy needs "
                    f"at least {self.minimum_class}"
                )

    def visible(self, study: Study, shard: Shard) -> Shard:
        """The shard with every feature as missing that ``minimum_cell`` keeps inside; also where it is evaluated."""
        rare = np.isin(np.arange(len(study.features)), self._rare(study, shard))
        return replace(shard, observed=shard.observed & ~rare) if rare.any() else shard

    def kept_inside(self, study: Study, shard: Shard) -> tuple[str, ...]:
        """Names of the features that are observed here and yet stay inside, in the study's order."""
        return tuple(study.features[i].name for i in self._rare(study, shard))

    def _rare(self, study: Study, shard: Shard) -> list[int]:
        rows = shard.training
        return [
            i
            for i in np.flatnonzero(shard.observed.any(axis=0)).tolist()
            if self._is_rare(study.features[i].kind == "flag", rows.x[rows.observed[:, i], i])
        ]

    def _is_rare(self, flag: bool, values: NDArray[np.float64]) -> bool:
        cells = (values.sum(), len(values) - values.sum()) if flag else ()
        return len(values) < self.minimum_cell or any(0 < cell < self.minimum_cell for cell in cells)

    def promises(self) -> tuple[str, ...]:
        """The limits in plain words, each to follow "this node will never"."""
        promised = [
            "let a row, a person's name or a score of one person out",
            f"answer from fewer than {self.minimum_rows} rows (part of an answer, such as a subgroup, may be smaller)",
            f"take part in a step that reads labels with fewer than {self.minimum_class} rows of either label",
            f"let out anything of a feature that fewer than {self.minimum_cell} of its training rows observe, or of a "
            f"flag that fewer than {self.minimum_cell} of them have or have not",
        ]
        if self.rows_per_parameter:
            least = self.rows_per_parameter
            promised.append(f"train an additive or logistic model on fewer than {least} rows for each parameter")
        if isfinite(self.epsilon):
            promised.append(
                "answer without noise, or once its answers together tell more of a row than epsilon "
                f"{self.epsilon:g} at delta {self.delta:g}"
            )
        if self.studies:
            promised.append(f"answer a study whose hash is not {' or '.join(self.studies)}")
        if self.steps:
            promised.append(f"answer a step other than {', '.join(self.steps)}")
        return tuple(promised)


POLICIES: Mapping[str, Policy] = {
    "default": Policy("default", minimum_rows=100, minimum_class=10, minimum_cell=10, rows_per_parameter=10),
    "research": Policy("research", minimum_rows=5, minimum_class=1, minimum_cell=1, rows_per_parameter=0),
}
LIMITS = ("minimum_rows", "minimum_class", "minimum_cell", "rows_per_parameter")
NOISE = ("epsilon", "delta")
LISTS = ("studies", "steps")
HASH_DIGITS = 12  # the fewest that name a study


def policy_file(data: Path, node: str) -> Path:
    """Where the owner of ``node`` may write limits: beside the node's table."""
    return data / f"{node}.policy.toml"


def policy_of(study: Study, node: str, data: Path | None) -> Policy:
    """The study's named policy, made stricter wherever the owner's file in ``data`` asks for more.

    Raises:
        PolicyError: the file cannot be used.
    """
    named = POLICIES[study.policy]
    if data is None or not policy_file(data, node).is_file():
        return named
    own = read_limits(policy_file(data, node))
    stricter: dict[str, Any] = {name: max(getattr(named, name), own[name]) for name in LIMITS if name in own}
    stricter |= {name: min(getattr(named, name), float(own[name])) for name in NOISE if name in own}
    stricter |= {name: tuple(own[name]) for name in LISTS if name in own}
    return replace(named, name=f"{study.policy}, and {policy_file(data, node).name}", **stricter)


def read_limits(path: Path) -> dict[str, Any]:
    """The limits in an owner's file: whole numbers from 1, lists of texts, an ``epsilon`` and a ``delta``.

    Raises:
        PolicyError: it is no TOML, has an unknown key, or a value that cannot be meant.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: not valid TOML: {error}") from None
    for name, value in found.items():
        if name not in (known := (*LIMITS, *NOISE, *LISTS)):
            raise PolicyError(f"{path}: unknown key {name!r}; expected {', '.join(known)}")
        expected = _expected(name, value)
        if expected:
            raise PolicyError(f"{path}: {name}: got {value!r}; expected {expected}")
    return found


def _expected(name: str, value: object) -> str:
    """What should stand there instead; empty if ``value`` will do."""
    if name in LIMITS:
        return "" if type(value) is int and value >= 1 else "a whole number from 1"
    if name in NOISE:
        most, words = (inf, "a number above 0") if name == "epsilon" else (1.0, "a number between 0 and 1")
        return "" if type(value) in (int, float) and 0 < cast("float", value) < most else words
    texts = isinstance(value, list) and len(value) > 0 and all(isinstance(one, str) for one in value)
    if name == "studies":
        known = texts and all(re.fullmatch(f"[0-9a-f]{{{HASH_DIGITS},64}}", one) for one in cast("list[str]", value))
        return "" if known else f"a list of study hashes, each of {HASH_DIGITS} digits (0-9, a-f) or more"
    return "" if texts and set(cast("list[str]", value)) <= EXITS.keys() else f"a list of steps: {', '.join(EXITS)}"
