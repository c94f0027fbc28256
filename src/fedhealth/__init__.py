"""FedHealth: one calibrated health-risk model trained over nodes that keep their rows."""

__version__ = "0.1.0"
