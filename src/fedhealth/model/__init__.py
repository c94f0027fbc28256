"""Risk models over (value, observed)."""

from fedhealth.model.design import Design
from fedhealth.model.network import NetworkModel, model_from_arrays
from fedhealth.model.risk_model import RiskModel, log_odds, sigmoid
from fedhealth.model.scorecard import Scorecard

__all__ = ["Design", "NetworkModel", "RiskModel", "Scorecard", "log_odds", "model_from_arrays", "sigmoid"]
