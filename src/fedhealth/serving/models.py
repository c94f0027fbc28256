"""The model in force: loaded from the bundle folder, and again whenever another bundle is published there."""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fedhealth.registry import load_bundle
from fedhealth.serving.errors import Unavailable
from fedhealth.serving.predictor import Predictor
from fedhealth.serving.schema import PredictionBody
from fedhealth.study import load_study

LOOK_EVERY = 1.0  # seconds
BEFORE_ANY_BUNDLE = "health-risk"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class State:
    """What can be served, and what is wrong with the bundle folder; at least one of them."""

    predictor: Predictor | None
    problem: str | None


class Models:
    """The bundle in ``folder``; asked before each answer, it looks at most once a second whether it changed.

    A new bundle takes the place of the old one in one step. While the folder holds none that can be loaded, the old
    one stays in force and ``state().problem`` says why.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self._clock = clock
        self._next_look = 0.0
        self._seen: tuple[int, ...] | None = None
        self._state = State(None, "nothing was loaded yet")
        self._before = PredictionBody(load_study(BEFORE_ANY_BUNDLE))
        self.state()

    def state(self) -> State:
        """What can be served now."""
        now = self._clock()
        if now >= self._next_look:
            self._next_look = now + LOOK_EVERY
            self._look()
        return self._state

    def predictor(self) -> Predictor:
        """The predictor in force.

        Raises:
            Unavailable: no bundle could be loaded so far.
        """
        state = self.state()
        if state.predictor is None:
            raise Unavailable(state.problem)
        return state.predictor

    def body(self) -> PredictionBody:
        """The body that clients are to send; before any bundle is loaded, that of the health-risk study."""
        predictor = self.state().predictor
        return predictor.body if predictor else self._before

    def _look(self) -> None:
        found = _signature(self.folder / "bundle.json")
        if found == self._seen and self._state.problem is None:
            return
        self._seen = found
        try:
            loaded = Predictor.from_bundle(load_bundle(self.folder))
        except Exception as error:  # whatever is wrong with a new bundle, the old one is still good
            self._keep_old(error)
        else:
            self._state = State(loaded, None)
            logger.info("serving model %s", loaded.bundle.version)

    def _keep_old(self, error: Exception) -> None:
        old, wrong = self._state.predictor, str(error) or type(error).__name__
        problem = f"{wrong}; still serving model {old.bundle.version}" if old else self._nothing(wrong)
        if problem != self._state.problem:
            logger.warning(problem)
        self._state = State(old, problem)

    def _nothing(self, wrong: str) -> str:
        return (
            f"no model is loaded: {wrong}. Bundles are looked for in the folder {str(self.folder)!r}; FEDHEALTH_MODELS "
            "names another. A bundle is served as soon as it is there, without a restart."
        )


def models_folder() -> Path:
    """Where bundles are looked for by default: ``FEDHEALTH_MODELS``, else ``models`` in the working directory."""
    return Path(os.environ.get("FEDHEALTH_MODELS") or "models")


def _signature(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
