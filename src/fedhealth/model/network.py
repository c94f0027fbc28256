"""A neural network over (value, observed) as plain arrays: it answers with NumPy alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedhealth.model.design import Arrays, Floats, rescale
from fedhealth.model.risk_model import RiskModel, sigmoid
from fedhealth.study import Study

HIDDEN = 64
LAYERS = ("net.0", "net.2", "net.4")
FIRST = "net.0.weight"  # the weights that read the inputs
BATCH = 256  # rows of one local step
WEIGHT_DECAY = 1e-4
WEIGHTS = tuple(f"{layer}.{part}" for layer in LAYERS for part in ("weight", "bias"))


@dataclass(frozen=True)
class NetworkModel:
    """Two hidden layers of 64 rectified units (ReLU) and one logit, calibrated.

    Attributes:
        study: the study whose features, in order, are read (``d`` of them).
        mean: shape ``(d,)``; federated mean of each number on its scale, 0 for others.
        sd: shape ``(d,)``; federated standard deviation, 1 for others.
        weights: by name (``WEIGHTS``): ``net.0.weight (64, 2d)``, ``net.0.bias (64,)``, ...
        calibration: shape ``(2,)``; intercept and slope on the logit.
    """

    study: Study
    mean: Floats
    sd: Floats
    weights: dict[str, Floats]
    calibration: Floats

    @classmethod
    def from_arrays(cls, study: Study, arrays: Arrays) -> "NetworkModel":
        """The model whose arrays are found under their own names."""
        weights = {name: np.asarray(arrays[name]) for name in WEIGHTS}
        return cls(study, arrays["mean"], arrays["sd"], weights, arrays["calibration"])

    def arrays(self) -> dict[str, Floats]:
        """All arrays that define the model, by name; with ``floor``, which a reader without the study needs."""
        floor = np.array([f.low if f.scale == "log" else np.nan for f in self.study.features])
        return {**self.weights, "mean": self.mean, "sd": self.sd, "floor": floor, "calibration": self.calibration}

    def inputs(self, x: Floats, observed: NDArray[np.bool_]) -> Floats:
        """What the network reads of each row: standardised value × observed, then observed; shape ``(n, 2d)``."""
        scaled = np.column_stack([rescale(f, x[:, i]) for i, f in enumerate(self.study.features)])
        return np.column_stack([(scaled - self.mean) / self.sd * observed, observed.astype(np.float64)])

    def logit(self, x: Floats, observed: NDArray[np.bool_], site: NDArray[np.int16] | None = None) -> Floats:
        """Calibrated log-odds of each row, shape ``(n,)``; which node a row is from (``site``) does not matter."""
        raw = forward(self.weights, self.inputs(x, observed))
        return np.asarray(self.calibration[0] + self.calibration[1] * raw)

    def risk(self, x: Floats, observed: NDArray[np.bool_], site: NDArray[np.int16] | None = None) -> Floats:
        """Risk of each row, 0..1, shape ``(n,)``."""
        return sigmoid(self.logit(x, observed, site))


@dataclass(frozen=True)
class LocalTask:
    """One network's local training at one node: everything that its result depends on.

    Every batch of every epoch is one step of Adam (Kingma & Ba 2015) on the gradient of the mean log loss, plus
    ``mu * (w - start)``, plus ``correction``, plus ``WEIGHT_DECAY * w``. Without rows, or at rate 0, nothing changes.

    Attributes:
        start: the weights by name; training starts here.
        inputs: shape ``(n, 2d)``, as :meth:`NetworkModel.inputs` gives them.
        y: labels 0 or 1, shape ``(n,)``.
        rng: keyed randomness of this task; used once, by :meth:`schedule`.
        rate: Adam's learning rate.
        epochs: passes over the rows.
        groups: shape ``(2d,)``; number of the modality that each input column belongs to.
        withhold: share, 0..1, of modalities hidden from training, drawn for every row and epoch anew.
        mu: strength of the pull back to ``start``.
        correction: by weight name, added to every gradient; empty for none.
    """

    start: Mapping[str, Floats]
    inputs: Floats
    y: Floats
    rng: np.random.Generator
    rate: float
    epochs: int
    groups: NDArray[np.intp]
    withhold: float
    mu: float
    correction: Mapping[str, Floats]

    def schedule(self) -> Iterator[tuple[NDArray[np.intp], Floats]]:
        """Per epoch the order of the rows, shape ``(n,)``, cut into batches of ``BATCH``; and the inputs left to see.

        Inputs keep the rows' own order, and so do rows that fit one batch. The last batch of an epoch may be shorter.
        """
        rows = len(self.y)
        for _ in range(self.epochs):
            order = self.rng.permutation(rows) if rows > BATCH else np.arange(rows)
            hidden = self.rng.random((len(self.y), self.groups.max() + 1)) < self.withhold
            yield order, self.inputs * ~hidden[:, self.groups] if self.withhold else self.inputs


def forward(weights: Arrays, inputs: Floats) -> Floats:
    """The network's raw logit, shape ``(n,)``, from inputs of shape ``(n, 2d)``."""
    for layer in LAYERS[:-1]:
        inputs = np.maximum(inputs @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"], 0.0)
    last = inputs @ weights[f"{LAYERS[-1]}.weight"].T + weights[f"{LAYERS[-1]}.bias"]
    return np.asarray(last[:, 0])


def model_from_arrays(study: Study, arrays: Arrays) -> RiskModel | NetworkModel:
    """Whichever model these arrays define."""
    return NetworkModel.from_arrays(study, arrays) if FIRST in arrays else RiskModel.from_arrays(study, arrays)
