"""Make the synthetic demo bundle in ``models/`` anew: ``python tools/make_demo.py``, or ``make demo``.

It is trained on the default synthetic world and signed with a key that is drawn here and never stored; the public half
goes into the keys that every installation trusts. Where training gives the bundle that is there already, and its
signature fits, nothing changes.
"""

import shutil
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedhealth.cli.train import run_training
from fedhealth.cli.training import Training
from fedhealth.data.synthetic import write_world
from fedhealth.registry import Bundle, BundleError, load_signed, sign_bundle
from fedhealth.registry.bundle import FILES
from fedhealth.registry.signing import public_digits

ROOT = Path(__file__).parents[1]
MODELS, TRUSTED = ROOT / "models", ROOT / "src/fedhealth/registry/trusted_keys.toml"


def main() -> None:
    """Train, sign, and say which key to trust."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        write_world(place / "data")
        bundle, _, folder = run_training(
            "health-risk", place / "data", None, Training(runs=place / "runs", models=place / "models")
        )
        assert bundle is not None
        if _is_there(bundle):
            print(f"models/ holds bundle {bundle.version} already")
            return
        for name in FILES:
            shutil.copyfile(folder / name, MODELS / name)
    key = Ed25519PrivateKey.generate()
    sign_bundle(MODELS, key)
    comments = [line for line in TRUSTED.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    trusted = f'"synthetic demo" = "{public_digits(key)}"'
    TRUSTED.write_text("\n".join([*comments, trusted]) + "\n", encoding="utf-8")
    print(f"models/ holds bundle {bundle.version}, signed by a new demo key: commit models/ and {TRUSTED.name}")


def _is_there(bundle: Bundle) -> bool:
    try:
        return load_signed(MODELS).hash == bundle.hash
    except BundleError:
        return False


if __name__ == "__main__":
    main()
