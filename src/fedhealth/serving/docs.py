"""``/docs`` and ``/openapi.json``: the study in force, shown by Swagger UI from this server's own files."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from fedhealth.serving.batch import MOST_ROWS
from fedhealth.serving.later import Loading
from fedhealth.serving.models import Models
from fedhealth.serving.schema import PredictionBody

SWAGGER_UI = Path(fastapi_offline.__file__).parent / "static"
# Swagger UI draws its icons from data: URLs in its own style sheet.
POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
ABOUT_ONE = ("/predict", "/explain", "/advice")  # paths that take a person's features
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>FedHealth API</title>
<link rel="icon" href="docs/files/favicon.png">
<link rel="stylesheet" href="docs/files/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/files/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
"""


def add_docs(app: FastAPI, models: Models, loading: Loading) -> None:
    """Add the pages, and make ``app.openapi()`` describe the study in force."""

    @lru_cache(maxsize=2)
    def document(body: PredictionBody) -> dict[str, Any]:
        return _document(app, body)

    @app.get("/docs", include_in_schema=False)
    async def docs(_: Request) -> Response:
        return HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY})

    @app.get("/docs/start.js", include_in_schema=False)
    async def start(_: Request) -> Response:
        return Response(START, media_type="text/javascript")

    @app.get("/", include_in_schema=False)
    async def root(_: Request) -> Response:
        return RedirectResponse("docs")

    app.mount("/docs/files", StaticFiles(directory=SWAGGER_UI))

    def openapi() -> dict[str, Any]:
        loading.wait()
        return document(models.body())

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI, body: PredictionBody) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    document["components"]["schemas"]["Features"] = body.json_schema
    content: dict[str, Any] = {"schema": {"$ref": "#/components/schemas/Features"}}
    if body.example:
        content["example"] = body.example
    document["paths"]["/predict/batch"]["post"]["requestBody"] = _batch(body)
    for path in ABOUT_ONE:
        document["paths"][path]["post"]["requestBody"] = {"required": True, "content": {"application/json": content}}
    return document


def _batch(body: PredictionBody) -> dict[str, Any]:
    """One list per feature or one object per person; that columns are equally long, no schema can say."""
    kinds = {name: {k: v for k, v in one.items() if k == "anyOf"} for name, one in _properties(body).items()}
    length = {"minItems": 1, "maxItems": MOST_ROWS}
    lists = {name: {"type": "array", **length, "items": kind} for name, kind in kinds.items()}
    columns = {"type": "object", "properties": lists, "additionalProperties": False, "minProperties": 1}
    rows = {"type": "array", **length, "items": {"$ref": "#/components/schemas/Features"}}
    either = [_only("columns", columns), _only("rows", rows)]
    example = {"columns": {name: [value, value] for name, value in body.example.items()}}
    content = {"schema": {"oneOf": either}, **({"example": example} if body.example else {})}
    return {"required": True, "content": {"application/json": content}}


def _only(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {name: schema}, "required": [name], "additionalProperties": False}


def _properties(body: PredictionBody) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = body.json_schema["properties"]
    return found
