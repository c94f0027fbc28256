"""What a node's owner lets out: limits in a TOML file beside the node's table, or one of the named policies."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedhealth.data.shard import Shard
from fedhealth.federation import Contribution
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
    """

    name: str
    minimum_rows: int
    minimum_class: int
    minimum_cell: int
    rows_per_parameter: int

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
        promised = (
            "let a row, a person's name or a score of one person out",
            f"let out a sum over fewer than {self.minimum_rows} rows",
            f"take part in a step that reads labels with fewer than {self.minimum_class} rows of either label",
            f"let out anything of a feature that fewer than {self.minimum_cell} of its training rows observe, or of a "
            f"flag that fewer than {self.minimum_cell} of them have or have not",
        )
        if not self.rows_per_parameter:
            return promised
        return (
            *promised,
            f"train an additive or logistic model on fewer than {self.rows_per_parameter} rows for each parameter",
        )


POLICIES: Mapping[str, Policy] = {
    "default": Policy("default", minimum_rows=100, minimum_class=10, minimum_cell=10, rows_per_parameter=10),
    "research": Policy("research", minimum_rows=5, minimum_class=1, minimum_cell=1, rows_per_parameter=0),
}
LIMITS = tuple(field.name for field in fields(Policy) if field.name != "name")


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
    limits = {name: max(value, own.get(name, value)) for name, value in asdict(named).items() if name in LIMITS}
    return Policy(f"{study.policy}, and {policy_file(data, node).name}", **limits)


def read_limits(path: Path) -> dict[str, int]:
    """The limits in an owner's file: whole numbers from 1, any of ``LIMITS``.

    Raises:
        PolicyError: it is no TOML, has an unknown key, or a value that is no whole number from 1.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: not valid TOML: {error}") from None
    for name, value in found.items():
        if name not in LIMITS:
            raise PolicyError(f"{path}: unknown key {name!r}; expected {', '.join(LIMITS)}")
        if type(value) is not int or value < 1:
            raise PolicyError(f"{path}: {name}: got {value!r}; expected a whole number from 1")
    return found
