"""Training between processes over Flower (the only package that imports flwr)."""
