"""``fedhealth serve``: the prediction API."""

from pathlib import Path
from typing import Annotated

import typer


def serve(
    models: Annotated[Path, typer.Option(envvar="FEDHEALTH_MODELS", help="Folder of the published bundle.")] = Path(
        "models"
    ),
    host: Annotated[
        str, typer.Option(envvar="FEDHEALTH_HOST", help="Address to listen on; 0.0.0.0 for every interface.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, envvar="FEDHEALTH_PORT", help="Port to listen on.")] = 8000,
) -> None:
    """Serve the published model over HTTP; Ctrl-C stops it."""
    from fedhealth.serving import serve as serve_api

    serve_api(host, port, models)
