"""``python -m fedhealth``: the ``fedhealth`` command."""

from fedhealth.cli import app

app()
