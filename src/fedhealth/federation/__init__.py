"""Learning from sums: contributions, statistics, Newton's method, calibration and evaluation. Pure, without I/O."""

from fedhealth.federation.averaging import NetworkFit, fit_network
from fedhealth.federation.contribution import Contribution, State, total
from fedhealth.federation.evaluation import Metrics, metrics, score_histogram
from fedhealth.federation.steps import STEPS, exchange_within
from fedhealth.federation.training import SEGMENTS, Exchange, Fit, Round, fit

__all__ = [
    "SEGMENTS",
    "STEPS",
    "Contribution",
    "Exchange",
    "Fit",
    "Metrics",
    "NetworkFit",
    "Round",
    "State",
    "exchange_within",
    "fit",
    "fit_network",
    "metrics",
    "score_histogram",
    "total",
]
