"""Risk models over (value, observed)."""

from fedhealth.model.design import Design
from fedhealth.model.network import NetworkModel, model_from_arrays
from fedhealth.model.risk_model import RiskModel, sigmoid

__all__ = ["Design", "NetworkModel", "RiskModel", "model_from_arrays", "sigmoid"]
