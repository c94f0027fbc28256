"""The routes. All are async and answer from memory."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from fedhealth.monitoring.prediction_log import PredictionLog
from fedhealth.serving.errors import NoModel, Refusal, Refused, problem
from fedhealth.serving.models import Models

MAX_BODY = 64 * 1024  # bytes
UNAVAILABLE: dict[int | str, dict[str, Any]] = {503: {"model": NoModel, "description": "No model is loaded"}}


class Prediction(BaseModel):
    """A person's risk."""

    risk_score: float = Field(ge=0, le=1, description="Probability of the outcome", examples=[0.07])
    high_risk: bool = Field(description="Whether the risk reaches the threshold", examples=[False])
    risk_interval: list[float] = Field(
        min_length=2,
        max_length=2,
        description="90 % interval of the risk, lower and upper end",
        examples=[[0.04, 0.13]],
    )
    missing: list[str] = Field(description="The features that had no value")
    model_version: str = Field(description="First twelve digits of the model's content hash")
    threshold: float = Field(ge=0, le=1, examples=[0.2], description="The risk from which a person is called high-risk")


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
    synthetic: bool | None = Field(description="Whether the model was trained on generated data")


def routes(models: Models, log: PredictionLog) -> APIRouter:
    """All routes, answering from ``models``; ``log`` notes what was predicted."""
    router = APIRouter()
    _add_predict(router, models, log)
    _add_status(router, models)
    return router


def _add_predict(router: APIRouter, models: Models, log: PredictionLog) -> None:
    refusals: dict[int | str, dict[str, Any]] = {
        413: {"model": Refusal, "description": f"The body is over {MAX_BODY} bytes"},
        422: {"model": Refusal, "description": "The body is not what the study asks for"},
    }

    @router.post("/predict", response_model=Prediction, responses={**refusals, **UNAVAILABLE})
    async def predict(request: Request) -> Response:
        """The risk of a person from whatever is known about them."""
        raw = await _read(request)
        predictor = models.predictor()
        answer = predictor.predict(predictor.body.parse(raw))
        log.note(answer["model_version"], answer["risk_score"], len(answer["missing"]))
        return JSONResponse(answer)


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
        """What the model in force predicts, from what, and how well."""
        return JSONResponse(models.predictor().description)


async def _read(request: Request) -> bytes:
    """The request's body; hardly more than the limit is ever held. It ends early where the client went away."""
    body, more = bytearray(), True
    while more:
        message = await request.receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            limit = f"at most {MAX_BODY} bytes"
            raise Refused([problem(None, None, "the body is too large", limit)], status=413)
        more = message.get("more_body", False)
    return bytes(body)
