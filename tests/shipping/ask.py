"""Ask a started API for the README's example: ``python tests/shipping/ask.py http://127.0.0.1:8000 [SECONDS]``.

It fails where the API is not ready within the seconds, a minute by default.
"""

import json
import re
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def example() -> dict[str, float]:
    """The body that the README sends to ``/predict``."""
    found = re.search(r"/predict.*?-d '(\{.*?\})'", README.read_text(encoding="utf-8"), re.DOTALL)
    if found is None:
        raise SystemExit(f"{README}: holds no example of a request to /predict")
    return json.loads(found[1])


def wait_until_ready(address: str, seconds: float) -> float:
    """Seconds until ``/ready`` answers; SystemExit where it takes longer than ``seconds``."""
    start = time.monotonic()
    while (passed := time.monotonic() - start) < seconds:
        try:
            urllib.request.urlopen(f"{address}/ready", timeout=2).close()
            return passed
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{address}: not ready after {seconds:g} s")


def main(address: str, seconds: str = "60") -> None:
    """Print what the API answers; fail unless it is a risk."""
    print(f"ready after {wait_until_ready(address, float(seconds)):.1f} s")
    body, headers = json.dumps(example()).encode(), {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{address}/predict", body, headers), timeout=10) as answer:
        found = json.load(answer)
    print(json.dumps(found))
    if not 0 < found["risk_score"] < 1:
        raise SystemExit(f"risk_score: got {found['risk_score']}; expected a risk between 0 and 1")


if __name__ == "__main__":
    main(*sys.argv[1:])
