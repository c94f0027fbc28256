"""The model in force: loaded from the bundle folder if a trusted key signed it, and again whenever that changes."""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fedhealth.registry import BundleError, load_signed, served_since, undisturbed
from fedhealth.registry.bundle import FILES
from fedhealth.registry.signing import SIGNATURE
from fedhealth.serving.errors import Unavailable
from fedhealth.serving.predictor import Predictor
from fedhealth.serving.schema import PredictionBody
from fedhealth.study import DEFAULT_STUDY, load_study

LOOK_EVERY = 1.0  # seconds
PARTS = (*FILES, SIGNATURE)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class State:
    """What can be served (and since when), and what is wrong with the bundle folder; at least one of them."""

    predictor: Predictor | None
    problem: str | None
    published: str | None = None


class Models:
    """The bundle in ``folder``; asked before each answer, it looks at most once a second whether it changed.

    A new bundle takes the place of the old one in one step. While the folder holds none that can be loaded (nobody who
    is trusted signed it, or a file was changed, added or renamed), the old one stays in force and ``state().problem``
    says why. While somebody is just publishing, it looks again later.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self._clock = clock
        self._next_look = 0.0
        self._seen: frozenset[object] = frozenset()
        self._state = State(None, "nothing was loaded yet")
        self._before = PredictionBody(load_study(DEFAULT_STUDY))
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
        with undisturbed(self.folder) as quiet:
            found = _seen_in(self.folder)
            if not quiet or (found == self._seen and self._state.problem is None):
                return
            self._seen = found
            try:
                loaded = Predictor.from_bundle(load_signed(self.folder))
            except Exception as error:  # whatever is wrong with a new bundle, the old one is still good
                self._keep_old(error)
            else:
                self._state = State(loaded, None, self._since(loaded.bundle.version))
                logger.info("serving model %s", loaded.bundle.version)

    def _keep_old(self, error: Exception) -> None:
        old, wrong = self._state.predictor, str(error) or type(error).__name__
        problem = f"{wrong}; still serving model {old.bundle.version}" if old else self._nothing(wrong)
        if problem != self._state.problem:
            logger.warning(problem)
        self._state = State(old, problem, self._state.published)

    def _since(self, version: str) -> str | None:
        try:
            return served_since(self.folder, version)
        except (BundleError, OSError) as error:
            logger.warning("since when model %s is served cannot be told: %s", version, error)
            return None

    def _nothing(self, wrong: str) -> str:
        return (
            f"no model is loaded: {wrong}. Bundles are looked for in the folder {str(self.folder)!r}; FEDHEALTH_MODELS "
            "names another. A bundle is served as soon as it is there, without a restart."
        )


def models_folder() -> Path:
    """Where bundles are looked for by default: ``FEDHEALTH_MODELS``, else ``models`` in the working directory."""
    return Path(os.environ.get("FEDHEALTH_MODELS") or "models")


def _seen_in(folder: Path) -> frozenset[object]:
    """Changes whenever a file in ``folder`` is added, renamed, removed or (those of a bundle) changed."""
    try:
        files = list(os.scandir(folder))
        return frozenset((file.name, _stamp(file.stat()) if file.name in PARTS else ()) for file in files)
    except OSError:
        return frozenset()


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    return found.st_mtime_ns, found.st_size, found.st_ino
