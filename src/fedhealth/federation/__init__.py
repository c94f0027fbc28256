"""Learning from sums: contributions, statistics, Newton's method, calibration and evaluation. Pure, without I/O."""

from fedhealth.federation.averaging import NetworkFit, fit_network
from fedhealth.federation.contribution import Contribution, State, total
from fedhealth.federation.evaluation import Difference, Metrics, difference, metrics, score_histogram, subgroup
from fedhealth.federation.private import PRIVATE_STEPS, fit_private, private_scores, spend
from fedhealth.federation.steps import STEPS, exchange_within
from fedhealth.federation.subgroups import group_names
from fedhealth.federation.training import SEGMENTS, Exchange, Fit, Round, fit

__all__ = [
    "PRIVATE_STEPS",
    "SEGMENTS",
    "STEPS",
    "Contribution",
    "Difference",
    "Exchange",
    "Fit",
    "Metrics",
    "NetworkFit",
    "Round",
    "State",
    "difference",
    "exchange_within",
    "fit",
    "fit_network",
    "fit_private",
    "group_names",
    "metrics",
    "private_scores",
    "score_histogram",
    "spend",
    "subgroup",
    "total",
]
