"""Risk models over (value, observed)."""

from fedhealth.model.design import Design
from fedhealth.model.risk_model import RiskModel, sigmoid

__all__ = ["Design", "RiskModel", "sigmoid"]
