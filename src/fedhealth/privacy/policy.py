"""What a node lets out: a policy's limits, how they are checked and told, and the named policies."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from math import inf, isfinite

import numpy as np
from numpy.typing import NDArray

from fedhealth.data.shard import Shard
from fedhealth.federation import Contribution
from fedhealth.privacy.accounting import DELTA
from fedhealth.privacy.secure_aggregation import FEWEST_NODES
from fedhealth.study import Study


class PolicyRefusal(Exception):
    """The node's policy does not let a contribution out; the message names the node, what was asked and the rule."""


class NotFinite(PolicyRefusal):
    """A contribution holds a value that is no number, or has none; asked cleverly, that tells of single rows."""


@dataclass(frozen=True)
class Policy:
    """Limits on every contribution of a node.

    Attributes:
        name: how reports call this policy.
        minimum_rows: a sum over fewer rows (but not none) stays inside.
        minimum_class: fewest rows with each label for a step that reads labels.
        minimum_cell: a feature that fewer training rows observe stays inside, and so does a flag that fewer of them
            have, or have not (Ritchie & Elliot 2015: thresholds on every cell).
        rows_per_parameter: fewest rows for each parameter of a model that learns from exact sums, so that it cannot
            learn single rows by heart; 0 sets no limit (and synthetic rows are nobody's).
        norm_bound: longest move of a network's weights in one round, and longest gradient.
        epsilon, delta: limit of what all noisy answers over the node's rows may tell of one row, for ever; while it
            is finite, an answer without noise stays inside.
        lifetime: limit of epsilon for all noisy answers, where the owner set none; it asks for no noise.
        secure_aggregation: sums that train a model leave under masks, so that the server sees their total only; where
            the study has fewer than three nodes there is none.
        studies: hashes of studies (or their first 12 digits and more) that are answered; empty: any.
        steps: steps that are answered; empty: all that are declared.
        withheld: features of which the owner, approving a study, let nothing out without noise.
    """

    name: str
    minimum_rows: int
    minimum_class: int
    minimum_cell: int
    rows_per_parameter: int
    epsilon: float = inf
    delta: float = DELTA
    lifetime: float = inf
    secure_aggregation: bool = False
    norm_bound: float = inf
    studies: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        """SHA-256 over all limits, 64 hexadecimal digits: a policy that was changed has another."""
        return sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def most_epsilon(self) -> float:
        """What all noisy answers together may tell of one row, for ever."""
        return min(self.epsilon, self.lifetime)

    def admit(self, node: str, study_hash: str, step: str) -> None:
        """Raise PolicyRefusal unless the owner of ``node`` answers this step of this study."""
        if self.studies and not study_hash.startswith(self.studies):
            raise PolicyRefusal(
                f"{node} refused step {step!r}: its owner answers only studies "
                f"{', '.join(one[:HASH_DIGITS] for one in self.studies)}; this one is {study_hash[:HASH_DIGITS]}"
            )
        if self.steps and step not in self.steps:
            raise PolicyRefusal(f"{node} refused step {step!r}: its owner answers only {', '.join(self.steps)}")

    def check(self, node: str, step: str, contribution: Contribution, labels: tuple[int, int] | None = None) -> None:
        """Raise PolicyRefusal unless the contribution may leave ``node``.

        One that will have noise is judged by ``labels``, the negatives and positives among all rows of the node, and
        not by its own sums, of which a refusal would tell without noise.
        """
        rows = sum(labels) if labels else contribution.rows
        if 0 < rows < self.minimum_rows:
            raise PolicyRefusal(
                f"{node} refused step {step!r}: it would sum over {rows} rows; its {self.name!r} policy "
                f"needs at least {self.minimum_rows}"
            )
        for name, array in contribution.sums.items():
            if not np.isfinite(array).all():
                raise NotFinite(f"{node} refused step {step!r}: {name!r} holds a value that is not finite")
        parameters = _parameters(contribution)
        if not labels and 0 < rows < self.rows_per_parameter * parameters:
            raise PolicyRefusal(
                f"{node} refused step {step!r}: a model of {parameters} parameters over {rows} rows; its "
                f"{self.name!r} policy needs at least {self.rows_per_parameter} rows for each, or noise (--epsilon)"
            )
        for label, count in zip(("negatives", "positives"), labels or _labels(contribution), strict=True):
            if 0 < count < self.minimum_class:
                raise PolicyRefusal(
                    f"{node} refused step {step!r}: only {count:.0f} rows are {label}; its {self.name!r} policy needs "
                    f"at least {self.minimum_class}"
                )

    def visible(self, study: Study, shard: Shard) -> Shard:
        """The shard with every feature as missing that ``minimum_cell`` keeps inside; also where it is evaluated."""
        inside = np.isin(np.arange(len(study.features)), self._inside(study, shard))
        return replace(shard, observed=shard.observed & ~inside) if inside.any() else shard

    def kept_inside(self, study: Study, shard: Shard) -> tuple[str, ...]:
        """Names of the features that are observed here and yet stay inside, in the study's order."""
        return tuple(study.features[i].name for i in self._inside(study, shard))

    def _inside(self, study: Study, shard: Shard) -> list[int]:
        rows = shard.training
        return [
            i
            for i in np.flatnonzero(shard.observed.any(axis=0)).tolist()
            if study.names[i] in self.withheld
            or self._is_rare(study.features[i].kind == "flag", rows.x[rows.observed[:, i], i])
        ]

    def _is_rare(self, flag: bool, values: NDArray[np.float64]) -> bool:
        cells = (values.sum(), len(values) - values.sum()) if flag else ()
        return len(values) < self.minimum_cell or any(0 < cell < self.minimum_cell for cell in cells)

    def promises(self) -> tuple[str, ...]:
        """The limits in plain words, each to follow "this node will never"."""
        promised = [
            "let a row or a person's name out",
            f"answer from fewer than {self.minimum_rows} rows (part of an answer, such as a subgroup, may be smaller)",
            f"take part in a step that reads labels with fewer than {self.minimum_class} rows of either label",
            f"let out anything of a feature that fewer than {self.minimum_cell} of its training rows observe, or of a "
            f"flag that fewer than {self.minimum_cell} of them have or have not",
        ]
        if self.secure_aggregation:
            whole = f"only the total over {FEWEST_NODES} nodes or more"
            promised.append(f"show its part of a sum that trains a model: {whole}")
        if self.rows_per_parameter:
            least = self.rows_per_parameter
            promised.append(f"train a model without noise on fewer than {least} rows for each of its parameters")
        if isfinite(self.norm_bound):
            promised.append(f"move a network's weights by more than {self.norm_bound:g} in one round")
        if self.withheld:
            promised.append(f"let out anything of {', '.join(self.withheld)} without noise")
        if isfinite(self.epsilon):
            promised.append(
                "answer without noise, or once its answers together tell more of a row than epsilon "
                f"{self.epsilon:g} at delta {self.delta:g}"
            )
        elif isfinite(self.lifetime):
            promised.append(f"tell more of a row, in all answers with noise together, than epsilon {self.lifetime:g}")
        if self.studies:
            promised.append(f"answer a study whose hash is not {' or '.join(self.studies)}")
        if self.steps:
            promised.append(f"answer a step other than {', '.join(self.steps)}")
        return tuple(promised)


def _parameters(contribution: Contribution) -> int:
    """How many parameters the model has whose training this is a part of; 0 for anything else."""
    moved = sum(array[0].size for name, array in contribution.sums.items() if name.startswith("moved."))
    return moved or max(contribution.sums[name].shape[-1] if name in contribution.sums else 0 for name in SQUARE)


def _labels(contribution: Contribution) -> tuple[float, float]:
    """Rows of either label that an exact contribution tells of; 0 where it tells of none."""
    sums = contribution.sums
    negatives, positives = (float(sums[n].sum()) if n in sums else 0.0 for n in ("negatives", "positives"))
    return negatives, positives


POLICIES: Mapping[str, Policy] = {
    "default": Policy(
        "default",
        minimum_rows=100,
        minimum_class=10,
        minimum_cell=10,
        rows_per_parameter=10,
        secure_aggregation=True,
        lifetime=8.0,
    ),
    "research": Policy("research", minimum_rows=5, minimum_class=1, minimum_cell=1, rows_per_parameter=0),
}
SQUARE = ("hessian", "products")  # arrays with a row and a column for each parameter
HASH_DIGITS = 12  # the fewest that name a study


def is_summed_under_masks(study: Study) -> bool:
    """Whether the study's named policy wants secure aggregation, and its nodes are enough for it."""
    return POLICIES[study.policy].secure_aggregation and len(study.nodes) >= FEWEST_NODES
