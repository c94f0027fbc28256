"""The app: the bundle folder in, an ASGI application out."""

from pathlib import Path

from fastapi import FastAPI

import fedhealth
from fedhealth.monitoring.prediction_log import PredictionLog
from fedhealth.monitoring.store import Store
from fedhealth.serving.docs import add_docs
from fedhealth.serving.errors import add_handlers
from fedhealth.serving.lane import FastLane
from fedhealth.serving.models import Models, models_folder
from fedhealth.serving.operations import operations
from fedhealth.serving.person import answers
from fedhealth.serving.routes import routes

ABOUT = (
    "Calibrated health risks from whatever is known about a person, by a model trained over nodes that keep their rows."
)


def create_app(models: Path | None = None) -> FastAPI:
    """The API over the bundle in the folder ``models``.

    Default: the folder that ``FEDHEALTH_MODELS`` names, else ``models`` in the working directory. There need not be a
    bundle yet: one is loaded as soon as it is there. What is stored goes where ``DATABASE_URL`` says.
    """
    app = FastAPI(
        title="FedHealth",
        version=fedhealth.__version__,
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    in_force = Models(models or models_folder())
    store = Store()
    log = PredictionLog(store)
    about_one = answers(log)
    app.add_middleware(FastLane, models=in_force, answers=about_one)
    app.include_router(routes(in_force, about_one))
    app.include_router(operations(in_force, store, log))
    add_docs(app, in_force)
    add_handlers(app)
    return app
