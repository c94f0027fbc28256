"""What is answered about one person, as bytes: the fast lane and the ordinary routes both take it from here."""

from collections.abc import Callable

import msgspec

from fedhealth.monitoring.prediction_log import PredictionLog
from fedhealth.serving.predictor import Predictor, Values

Answer = Callable[[Predictor, Values], bytes]


def answers(log: PredictionLog | None) -> dict[str, Answer]:
    """The answer to each path that takes a person's features; ``log`` notes predictions, if they may be kept."""
    encode = msgspec.json.Encoder().encode

    def predict(predictor: Predictor, values: Values) -> bytes:
        answer = predictor.predict(values)
        if log:
            log.note(answer["model_version"], answer["risk_score"], len(answer["missing"]))
        return encode(answer)

    def explain(predictor: Predictor, values: Values) -> bytes:
        return encode(predictor.explain(values))

    return {"/predict": predict, "/explain": explain}
