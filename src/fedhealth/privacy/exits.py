"""Everything that may leave a node: for every step, what it tells and the names of its arrays. There is nothing else.

A node answers with what its own installed code computes; this list is what its owner was shown. Where the two differ,
the door stays shut.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from fedhealth.federation import Contribution


@dataclass(frozen=True)
class Exit:
    """What one step tells, in plain words, and its arrays by name (``*`` stands for the layers of a network).

    A ``noisy`` one gets noise at the door, and its cost is written into the ledger. One that is ``summed`` serves only
    as a total over all nodes, so where the policy wants secure aggregation it leaves under masks.
    """

    tells: str
    arrays: tuple[str, ...]
    noisy: bool = False
    summed: bool = False

    def unknown(self, contribution: Contribution) -> tuple[str, ...]:
        """Names of the arrays in ``contribution`` that are not part of this exit."""
        return tuple(name for name in contribution.sums if not any(fnmatchcase(name, part) for part in self.arrays))


_SCORES = (
    *("positives", "negatives", "risks", "true_positives", "true_negatives", "correct"),
    *("log_loss", "log_loss_squares", "squared_error", "squared_error_squares"),
)
_EVALUATION = (*_SCORES, *(f"group.{name}" for name in _SCORES))
_COMPARISON = (
    *_EVALUATION,
    *(f"difference.{name}" for name in ("log_loss", "log_loss_squares", "squared_error", "squared_error_squares")),
)
_LINE = ("gradient", "hessian")

EXITS: Mapping[str, Exit] = {
    "inventory": Exit("how many rows there are and how many observe each feature", ("rows", "seen")),
    "moments": Exit(
        "per feature the sum and the sum of squares; how many rows are positive",
        ("seen", "sum", "squares", "positives", "rows"),
        summed=True,
    ),
    "counts": Exit("how many values of each number lie in each of equal bins", ("counts",), summed=True),
    "reference": Exit(
        "how many values lie in ten bins of each feature, by city and month",
        ("by_stratum", "stratum_rows"),
        summed=True,
    ),
    "columns": Exit(
        "sums of the model's columns and of their products, and sums by city and month",
        ("products", "sums", "seen", "stratum_sums", "stratum_seen", "stratum_rows"),
        summed=True,
    ),
    "newton": Exit(
        "loss, gradient and Hessian of a model, summed over rows",
        ("loss", "gradient", "hessian", "rows", "left_out"),
        summed=True,
    ),
    "calibrate": Exit("gradient and Hessian of the two numbers that calibrate a model", _LINE, summed=True),
    "evaluate": Exit(
        "how a model does on held-out rows: scores counted in bins, summed losses; and the summed loss on all others",
        (*_EVALUATION, "training_loss", "training_rows"),
    ),
    "compare": Exit(
        "how two models differ on the same held-out rows: summed differences of losses and of ranks among all rows",
        ("positives", "negatives", "difference.*", "rank.*"),
    ),
    "local_baseline": Exit("as evaluate, of a model that was trained on this node alone", _COMPARISON),
    "average": Exit(
        "how far a network's weights moved in training here (SCAFFOLD: and the gradient before), times rows; losses",
        ("moved.*", "gradient.*", "coverage", "loss", "left_out", "rows"),
        summed=True,
    ),
    "calibrate_network": Exit("gradient and Hessian of the two numbers that calibrate a network", _LINE, summed=True),
    "local_network": Exit("as evaluate, of a network that was trained on this node alone", _COMPARISON),
    "private_counts": Exit(
        "with noise: how many values lie in each of equal bins, how many rows there are and are positive",
        ("counts", "positives", "rows"),
        noisy=True,
        summed=True,
    ),
    "private_products": Exit(
        "with noise: sums of products of the model's columns, how many rows observe two features",
        ("curves", "lines", "seen"),
        noisy=True,
        summed=True,
    ),
    "private_gradient": Exit(
        "with noise: the gradient of a model, summed over rows", ("gradient",), noisy=True, summed=True
    ),
    "private_network_gradient": Exit(
        "with noise: the gradient of a network, summed over rows",
        ("gradient",),
        noisy=True,
        summed=True,
    ),
    "private_calibrate": Exit(
        "with noise: gradient and Hessian of the two numbers that calibrate a network",
        _LINE,
        noisy=True,
        summed=True,
    ),
    "private_scores": Exit(
        "with noise: held-out rows of either label counted in bins of their score",
        ("positives", "negatives"),
        noisy=True,
    ),
}
