"""A synthetic world with a known true risk: nine cities, two years, people and their days."""

from fedhealth.data.synthetic.clients import draw_clients
from fedhealth.data.synthetic.files import best_reachable, write_world
from fedhealth.data.synthetic.risk import true_risk
from fedhealth.data.synthetic.world import draw

__all__ = ["best_reachable", "draw", "draw_clients", "true_risk", "write_world"]
