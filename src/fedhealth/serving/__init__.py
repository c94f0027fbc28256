"""The API: risks over HTTP from the published bundle. Needs neither torch, flwr nor mlflow."""

from fedhealth.serving.app import create_app
from fedhealth.serving.run import serve

__all__ = ["create_app", "serve"]
