"""The ``fedhealth`` command."""

from fedhealth.cli.main import app

__all__ = ["app"]
