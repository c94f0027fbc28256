"""The app: the bundle folder in, an ASGI application out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

import fedhealth
from fedhealth.monitoring.address import check_url, store_url
from fedhealth.monitoring.prediction_log import PredictionLog
from fedhealth.monitoring.retention import usual_retention
from fedhealth.serving.access import Access, Admission, Keys
from fedhealth.serving.docs import add_docs
from fedhealth.serving.errors import Message, Refusal, add_handlers
from fedhealth.serving.lane import FastLane
from fedhealth.serving.later import Later, Loading
from fedhealth.serving.metrics import Figures, Measured
from fedhealth.serving.models import Models, models_folder
from fedhealth.serving.person import answers
from fedhealth.serving.rate import Rate, usual_rate
from fedhealth.serving.routes import routes
from fedhealth.study.advice.safety import load_safety
from fedhealth.study.advice.texts import chosen

if TYPE_CHECKING:
    from fedhealth.monitoring.store import Store

ABOUT = (
    "Calibrated health risks from whatever is known about a person, by a model trained over nodes that keep their rows."
)


def create_app(models: Path | None = None) -> FastAPI:
    """The API over the bundle in the folder ``models``.

    Default: the folder that ``FEDHEALTH_MODELS`` names, else ``models`` in the working directory. There need not be a
    bundle yet: one is loaded as soon as it is there. What is stored goes where ``DATABASE_URL`` says. The fast lane is
    ``app.state.lane``; :func:`fedhealth.serving.run.serve` puts it before the app.

    Raises:
        ValueError: ``FEDHEALTH_RATE``, ``FEDHEALTH_RETENTION`` or ``DATABASE_URL`` is none, or the files that
            ``FEDHEALTH_SAFETY`` or ``FEDHEALTH_LANGUAGE`` name are not there or not right.
    """
    in_force, retention, rate = Models(models or models_folder()), usual_retention(), Rate(usual_rate())
    check_url(store_url())  # better now than at the first request
    safety, _ = load_safety(), chosen()
    store = cache(_open_store)
    log, keys = PredictionLog(store), Keys()
    figures, admission = Figures(in_force, log), Admission(keys, rate)
    about_one = answers(log if retention != "off" else None)

    def load() -> None:
        from fedhealth.serving.operations import operations

        app.include_router(operations(in_force, store(), retention))

    loading = Loading(load)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        keys.prepare()
        loading.start()
        yield
        await run_in_threadpool(loading.stop)
        await run_in_threadpool(log.close)
        if store.cache_info().currsize:
            store().close()

    app = _bare_app(lifespan)
    app.state.lane = FastLane(in_force, about_one, admission, figures)
    app.add_middleware(Later, loading=loading)
    app.add_middleware(Access, admission=admission)
    app.add_middleware(Measured, figures=figures)
    app.include_router(routes(in_force, about_one, figures, safety))
    add_docs(app, in_force, loading)
    add_handlers(app)
    return app


def _open_store() -> "Store":
    from fedhealth.monitoring.store import Store

    return Store()


def _bare_app(lifespan: object) -> FastAPI:
    return FastAPI(
        title="FedHealth",
        version=fedhealth.__version__,
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        lifespan=lifespan,  # type: ignore[arg-type]
        responses={
            422: {"model": Refusal, "description": "What was asked is not what is described here"},
            429: {"model": Message, "description": "Too many requests; Retry-After says how many seconds to wait"},
        },
    )
