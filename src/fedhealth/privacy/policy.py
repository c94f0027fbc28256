"""What a node's owner lets out."""

from collections.abc import Mapping
from dataclasses import dataclass

from fedhealth.federation import Contribution


class PolicyRefusal(Exception):
    """The node's policy does not let a contribution out; the message names the node, what was asked and the rule."""


@dataclass(frozen=True)
class Policy:
    """Limits on every contribution of a node.

    Attributes:
        name: how reports call this policy.
        minimum_rows: a sum over fewer rows (but not none) stays inside.
        minimum_class: fewest rows with each label for a step that reads labels.
    """

    name: str
    minimum_rows: int
    minimum_class: int

    def check(self, node: str, step: str, contribution: Contribution) -> None:
        """Raise PolicyRefusal unless the contribution may leave ``node``."""
        if 0 < contribution.rows < self.minimum_rows:
            raise PolicyRefusal(
                f"{node} refused step {step!r}: it would sum over {contribution.rows} rows; its {self.name!r} policy "
                f"needs at least {self.minimum_rows}"
            )
        for label in ("positives", "negatives"):
            rows = contribution.sums[label].sum() if label in contribution.sums else 0
            if 0 < rows < self.minimum_class:
                raise PolicyRefusal(
                    f"{node} refused step {step!r}: only {rows:.0f} rows are {label}; its {self.name!r} policy needs "
                    f"at least {self.minimum_class}"
                )


POLICIES: Mapping[str, Policy] = {
    "default": Policy("default", minimum_rows=100, minimum_class=10),
    "research": Policy("research", minimum_rows=5, minimum_class=1),
}
