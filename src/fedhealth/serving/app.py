"""The app: the bundle folder in, an ASGI application out."""

from pathlib import Path

from fastapi import FastAPI

import fedhealth
from fedhealth.monitoring.people import usual_retention
from fedhealth.monitoring.prediction_log import PredictionLog
from fedhealth.monitoring.store import Store
from fedhealth.serving.access import Access, Keys
from fedhealth.serving.answers import Message
from fedhealth.serving.docs import add_docs
from fedhealth.serving.errors import Refusal, add_handlers
from fedhealth.serving.lane import FastLane
from fedhealth.serving.metrics import Figures, Measured
from fedhealth.serving.models import Models, models_folder
from fedhealth.serving.operations import operations
from fedhealth.serving.person import answers
from fedhealth.serving.rate import Rate, usual_rate
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
        responses={
            422: {"model": Refusal, "description": "What was asked is not what is described here"},
            429: {"model": Message, "description": "Too many requests; Retry-After says how many seconds to wait"},
        },
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
    retention = usual_retention()
    about_one = answers(log if retention != "off" else None)
    keys, figures = Keys(), Figures(in_force, log)
    app.add_middleware(FastLane, models=in_force, answers=about_one)
    app.add_middleware(Access, keys=keys, rate=Rate(usual_rate()))
    app.add_middleware(Measured, figures=figures)
    app.include_router(routes(in_force, about_one, figures))
    app.include_router(operations(in_force, store, log, keys, retention))
    add_docs(app, in_force)
    add_handlers(app)
    return app
