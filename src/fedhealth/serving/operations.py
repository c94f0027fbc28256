"""All routes over the store and the runs: which of them need a key, and what is said while the store is away."""

import logging
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute

from fedhealth.monitoring.retention import Retention
from fedhealth.monitoring.store import Store, StoreError
from fedhealth.serving.access import KEYED, allowed
from fedhealth.serving.alerts import add_alerts
from fedhealth.serving.cities import add_air, add_cities
from fedhealth.serving.errors import STORE_AWAY, Unavailable
from fedhealth.serving.models import Models
from fedhealth.serving.participants import add_participants
from fedhealth.serving.people import add_outcome_routes, add_people
from fedhealth.serving.readings import add_reading_routes
from fedhealth.serving.reports import add_runs
from fedhealth.serving.versions import add_versions
from fedhealth.serving.watched import add_watched

logger = logging.getLogger(__name__)
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class _StoreRoute(APIRoute):
    """A store that is away is the answer 503, on every route here."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except StoreError as error:
                logger.warning(str(error))
                raise Unavailable("the store cannot be used now; the API's log says why") from None

        return answer


def operations(
    models: Models, store: Store, retention: Retention, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> APIRouter:
    """All routes, answering from ``models``, ``store`` and the runs folder; ``now`` is the clock."""
    public = APIRouter(route_class=_StoreRoute)
    keyed = APIRouter(
        route_class=_StoreRoute,
        dependencies=[Depends(allowed)],
        responses={**KEYED, **STORE_AWAY},
    )
    add_air(public, models, store, now)
    add_reading_routes(keyed, models, store, retention, now)
    add_people(keyed, store, retention, now)
    add_outcome_routes(keyed, store, now)
    add_cities(keyed, models, store, now)
    add_alerts(keyed, models, store, now)
    add_runs(keyed)
    add_watched(keyed, models, store)
    add_participants(keyed, models)
    add_versions(keyed, models)
    public.include_router(keyed)
    return public
