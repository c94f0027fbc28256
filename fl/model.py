"""The neural network that ``--model mlp`` trains."""

from fedhealth.model.mlp import HealthRiskNet

__all__ = ["HealthRiskNet"]
