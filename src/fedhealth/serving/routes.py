"""The routes. All are async and answer from memory."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel, Field

from fedhealth.serving.access import KEYED, allowed
from fedhealth.serving.advice import Advice, advice
from fedhealth.serving.batch import MAX_BATCH_BODY
from fedhealth.serving.bodies import read_body
from fedhealth.serving.errors import Message, Refusal, Responses
from fedhealth.serving.lane import MAX_PERSON_BODY
from fedhealth.serving.metrics import Figures
from fedhealth.serving.models import Models
from fedhealth.serving.person import Answer
from fedhealth.study.advice.safety import Safety

REFUSALS: Responses = {
    413: {"model": Refusal, "description": f"The body is over {MAX_PERSON_BODY} bytes"},
    422: {"model": Refusal, "description": "The body is not what the study asks for"},
}
UNAVAILABLE: Responses = {503: {"model": Message, "description": "No model is loaded"}}


class Prediction(BaseModel):
    """A person's risk."""

    risk_score: float = Field(ge=0, le=1, description="Probability of the outcome", examples=[0.07])
    high_risk: bool = Field(description="Whether the risk reaches the threshold", examples=[False])
    risk_interval: list[float] = Field(
        min_length=2,
        max_length=2,
        description="95 % interval of the risk, lower and upper end",
        examples=[[0.04, 0.13]],
    )
    missing: list[str] = Field(description="The features that had no value")
    model_version: str = Field(description="First twelve digits of the model's content hash")
    threshold: float = Field(ge=0, le=1, examples=[0.2], description="The risk from which a person is called high-risk")


class Predictions(BaseModel):
    """The risks of many people, in the order in which they were given."""

    model_version: str = Field(description="First twelve digits of the model's content hash")
    threshold: float = Field(ge=0, le=1, examples=[0.2], description="The risk from which a person is called high-risk")
    risk_score: list[float] = Field(description="Probabilities of the outcome")
    high_risk: list[bool] = Field(description="Whether each risk reaches the threshold")


class Part(BaseModel):
    """What one feature adds."""

    feature: str
    value: float = Field(description="As it was given; a category as the position of its level")
    contribution: float = Field(description="On the log-odds; not a cause")


class Explanation(BaseModel):
    """How a person's risk comes about: ``logit`` is ``base_logit`` plus all contributions, exactly."""

    risk_score: float = Field(ge=0, le=1, description="As /predict gives it", examples=[0.07])
    logit: float = Field(description="Log-odds of the risk")
    base_risk: float = Field(ge=0, le=1, description="Risk of an average person of whom the same features are known")
    base_logit: float
    contributions: list[Part] = Field(description="The largest first")
    missing: list[str] = Field(description="The features that had no value")
    model_version: str = Field(description="First twelve digits of the model's content hash")


class Health(BaseModel):
    """The process is alive."""

    status: str


class Readiness(BaseModel):
    """A model is being served."""

    ready: bool
    model_version: str
    problem: str | None = Field(description="Why the bundle folder's newest state is not what is served; else null")


class Description(BaseModel):
    """The model in force."""

    model_version: str
    study: dict[str, str]
    outcome: dict[str, str | int]
    features: list[dict[str, Any]]
    threshold: dict[str, Any] = Field(description="The threshold with its sensitivity and specificity")
    metrics: dict[str, Any] | None
    synthetic: bool | None = Field(description="Whether the model was trained on generated data, if only in part")
    synthetic_nodes: list[str] = Field(description="Nodes with generated rows, where others have real ones")
    weaker_groups: list[str] | None = Field(
        description="People whom a model of their own node alone would serve better; null where nobody has looked"
    )
    published: datetime | None = Field(description="Since when it is served; null where the history does not say")


def routes(models: Models, answers: Mapping[str, Answer], figures: Figures, safety: Safety) -> APIRouter:
    """All routes, answering from ``models``; ``answers`` are those about one person, by path."""
    router = APIRouter()
    _add_person(router, models, answers)
    _add_advice(router, models, safety)
    _add_batch(router, models)
    _add_status(router, models)
    _add_metrics(router, figures)
    return router


def _add_person(router: APIRouter, models: Models, answers: Mapping[str, Answer]) -> None:
    async def answer(request: Request) -> Response:
        raw = await read_body(request, MAX_PERSON_BODY)
        predictor = models.predictor()
        content = answers[request.url.path](predictor, predictor.body.parse(raw))
        return Response(content, media_type="application/json")

    @router.post("/predict", response_model=Prediction, responses={**REFUSALS, **UNAVAILABLE})
    async def predict(request: Request) -> Response:
        """The risk of a person from whatever is known about them."""
        return await answer(request)

    @router.post("/explain", response_model=Explanation, responses={**REFUSALS, **UNAVAILABLE})
    async def explain(request: Request) -> Response:
        """What each feature adds to a person's risk, on the log-odds. Not causes: it compares people."""
        return await answer(request)


def _add_advice(router: APIRouter, models: Models, safety: Safety) -> None:
    @router.post("/advice", responses=REFUSALS)
    async def give_advice(request: Request) -> Advice:
        """Safety rules first, then guidance for the air, then other groups of people. Information, not a diagnosis."""
        body = models.body()
        values = body.parse(await read_body(request, MAX_PERSON_BODY))
        return advice(body.study, models.state().predictor, safety, values)


def _add_batch(router: APIRouter, models: Models) -> None:
    large: Responses = {413: {"model": Refusal, "description": f"The body is over {MAX_BATCH_BODY} bytes"}}
    others = {**REFUSALS, **large, **UNAVAILABLE, **KEYED}

    @router.post("/predict/batch", response_model=Predictions, dependencies=[Depends(allowed)], responses=others)
    async def predict_batch(request: Request) -> Response:
        """The risks of up to 100,000 people, given as rows or columns. /predict gives intervals too."""
        raw = await read_body(request, MAX_BATCH_BODY)
        content = await run_in_threadpool(models.predictor().answer_batch, raw)
        return Response(content, media_type="application/json")


def _add_metrics(router: APIRouter, figures: Figures) -> None:
    plain: Responses = {200: {"content": {"text/plain": {}}}, **KEYED}

    @router.get("/metrics", dependencies=[Depends(allowed)], response_class=PlainTextResponse, responses=plain)
    def metrics() -> Response:
        """Figures for Prometheus."""
        return PlainTextResponse(figures.text(), media_type="text/plain; version=0.0.4")


def _add_status(router: APIRouter, models: Models) -> None:
    @router.get("/health", response_model=Health)
    async def health() -> Response:
        """Whether the process is alive; needs no model."""
        return JSONResponse({"status": "ok"})

    @router.get("/ready", response_model=Readiness, responses=UNAVAILABLE)
    async def ready() -> Response:
        """Whether predictions can be asked for."""
        version = models.predictor().bundle.version
        return JSONResponse({"ready": True, "model_version": version, "problem": models.state().problem})

    @router.get("/model", response_model=Description, responses=UNAVAILABLE)
    async def model() -> Response:
        """What the model in force predicts, from what, how well, and for whom worse."""
        return JSONResponse({**models.predictor().description, "published": models.state().published})
