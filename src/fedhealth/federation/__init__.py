"""Learning from sums: contributions, statistics, Newton's method, calibration and evaluation. Pure, without I/O."""

from fedhealth.federation.averaging import NetworkFit, fit_network
from fedhealth.federation.contribution import TOGETHER, Contribution, Replies, State, total
from fedhealth.federation.curves import curves
from fedhealth.federation.evaluation import score_histogram, subgroup
from fedhealth.federation.metrics import Difference, Metrics, difference, metrics
from fedhealth.federation.pairing import Paired, paired, question
from fedhealth.federation.private import PLAN, Plan, fit_private, private_scores
from fedhealth.federation.private_network import NETWORK_PLAN, fit_private_network
from fedhealth.federation.steps import STEPS, exchange_within
from fedhealth.federation.subgroups import group_names
from fedhealth.federation.training import SEGMENTS, Exchange, Fit, Round, fit, mean_loss

__all__ = [
    "NETWORK_PLAN",
    "PLAN",
    "SEGMENTS",
    "STEPS",
    "TOGETHER",
    "Contribution",
    "Difference",
    "Exchange",
    "Fit",
    "Metrics",
    "NetworkFit",
    "Paired",
    "Plan",
    "Replies",
    "Round",
    "State",
    "curves",
    "difference",
    "exchange_within",
    "fit",
    "fit_network",
    "fit_private",
    "fit_private_network",
    "group_names",
    "mean_loss",
    "metrics",
    "paired",
    "private_scores",
    "question",
    "score_histogram",
    "subgroup",
    "total",
]
