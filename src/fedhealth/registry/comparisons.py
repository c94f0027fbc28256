"""Two models on the same rows, as reports tell it: by how much one is worse, and how sure that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from fedhealth.federation.intervals import Z


@dataclass(frozen=True)
class Comparison:
    """By how much a model is worse than another on the rows of ``name``: ``worse``, 95 % interval ``low..high``.

    AUROC as it is; log loss as a share of the other model's.
    """

    name: str
    metric: str
    worse: float
    low: float
    high: float

    def surely_within(self, margin: float) -> bool:
        """Whether the whole interval is no worse than ``margin``."""
        return self.high <= margin

    def surely_beyond(self, margin: float, comparisons: int) -> bool:
        """Whether it is worse by more than ``margin`` and surely worse, looked at beside so many others."""
        z = NormalDist().inv_cdf(1 - 0.025 / comparisons)
        return self.worse > margin and self.worse - (self.worse - self.low) * z / Z > 0

    def text(self) -> str:
        """For people: the difference and its interval, with the metric's own sign."""
        ends = (-self.worse, -self.high, -self.low) if self.metric == "auroc" else (self.worse, self.low, self.high)
        if self.metric == "auroc":
            return f"AUROC {ends[0]:+.4f} ({ends[1]:+.4f} to {ends[2]:+.4f})"
        return f"log loss {ends[0]:+.2%} ({ends[1]:+.2%} to {ends[2]:+.2%})"


@dataclass(frozen=True)
class Group:
    """The rows of ``name``: differences between two models, and the log loss of the second."""

    name: str
    difference: Mapping[str, Any]
    log_loss: float

    def of(self, metric: str, sign: int) -> Comparison:
        """By how much worse the first is; ``sign`` is -1 where a higher ``metric`` is better."""
        unit = self.log_loss if metric == "log_loss" else 1.0
        value, *ends = (sign * self.difference[f"{metric}{end}"] / unit for end in ("", "_low", "_high"))
        return Comparison(self.name, metric, value, min(ends), max(ends))


def with_champion(beside: Mapping[str, Any]) -> tuple[Group, list[Group]]:
    """What a report says of the model beside the champion: on all rows, and at every node that has both labels."""
    nodes = [
        Group(node["name"], node["difference"], node["champion"]["log_loss"])
        for node in beside["nodes"]
        if _defined(node["difference"])
    ]
    return Group("all", beside["all"]["difference"], beside["all"]["champion"]["log_loss"]), nodes


def local_comparisons(groups: Sequence[Mapping[str, Any]]) -> list[Group]:
    """What a report says of nodes (or of subgroups at nodes) beside their own model, where there is one."""
    return [
        Group(one["name"], one["difference"], one["local"]["log_loss"])
        for one in groups
        if one["difference"] and _defined(one["difference"])
    ]


def _defined(difference: Mapping[str, Any]) -> bool:
    ends = ("auroc", "auroc_low", "auroc_high", "log_loss", "log_loss_low", "log_loss_high")
    return all(difference[name] is not None for name in ends)


def beyond_doubt(found: Sequence[Comparison], margin: float) -> list[Comparison]:
    """Those that are worse by more than ``margin``, beyond doubt given how many were looked at."""
    return [one for one in found if one.surely_beyond(margin, len(found))]
