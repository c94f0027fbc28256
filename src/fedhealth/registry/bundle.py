"""A bundle: three files that hold a trained model and all that serving needs, under one content hash.

``bundle.json`` holds the study, scaling, knots, calibration, threshold, metrics, seeds, versions, golden rows and the
hash of each other file; ``model.safetensors`` the other arrays; ``MODEL_CARD.md`` tells people what the model is. There
are no timestamps inside: the same training gives the same hash. Who vouches for a bundle is said beside it
(:mod:`fedhealth.registry.signing`).
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from fedhealth.model import RiskModel
from fedhealth.model.design import Floats
from fedhealth.registry.golden import Golden, golden_of, with_none
from fedhealth.study import Study, StudyError, study_from_dict

FORMAT = 1
READABLE = ("mean", "sd", "knots", "partial", "calibration")  # arrays that people want to see in bundle.json
FILES = ("model.safetensors", "MODEL_CARD.md", "bundle.json")  # bundle.json last: a reader never sees it early
REPORT = "report.json"  # no part of the bundle: what the run that trained it found, kept beside it
DECIMALS = 9


class BundleError(Exception):
    """A bundle is absent, damaged or changed; the message names the file and what to do."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle.

    Attributes:
        study: the study, with the outcome that is predicted.
        model: the risk model.
        reference: federated histograms of the training rows (``counts (d, bins)``, ``low``, ``high``, ``seen (d,)``).
        golden: made-up rows and the risks that whoever serves the model must give them.
        facts: everything else of ``bundle.json``: threshold, metrics, seeds, versions, ...
        hash: content hash, 64 hexadecimal digits.
    """

    study: Study
    model: RiskModel
    reference: Mapping[str, Floats]
    golden: Golden
    facts: Mapping[str, Any]
    hash: str

    @property
    def version(self) -> str:
        """The first twelve digits of the hash: how people name this model."""
        return self.hash[:12]

    @property
    def rows(self) -> int | None:
        """Rows of all nodes that took part; None where only they have counted them (noise shared under masks)."""
        known = [node["rows"] for node in self.facts.get("nodes") or []]
        return None if None in known else sum(known)

    @property
    def threshold(self) -> float:
        """The risk (0..1) from which a person is called high-risk."""
        return float(self.facts["threshold"]["value"])


def write_bundle(
    folder: Path,
    study: Study,
    model: RiskModel,
    reference: Mapping[str, Floats],
    facts: Mapping[str, Any],
    card: str,
) -> Bundle:
    """Write a bundle into ``folder`` (each file replaced in one step, ``bundle.json`` last) and load it back.

    ``facts`` must be JSON-ready. Arrays are rounded to nine decimals, so that the last bits of a sum do not matter.
    """
    arrays = {name: np.round(array, DECIMALS) for name, array in model.arrays().items()}
    packed = {name: np.ascontiguousarray(array) for name, array in arrays.items() if name not in READABLE}
    packed |= {f"reference.{name}": np.array(array, dtype=np.float64, order="C") for name, array in reference.items()}
    files = {"model.safetensors": safetensors.numpy.save(packed), "MODEL_CARD.md": card.encode()}
    content = {
        "format": FORMAT,
        "study_hash": study.hash,
        **facts,
        "arrays": {name: with_none(arrays[name]) for name in READABLE},
        "golden": golden_of(study, RiskModel.from_arrays(study, arrays)).as_dict(),
        "study": asdict(study),
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    content = {"hash": _hash(content), **content}
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in {**files, "bundle.json": (json.dumps(content, indent=1) + "\n").encode()}.items():
        replace_file(folder / name, data)
    return load_bundle(folder)


def load_bundle(folder: Path) -> Bundle:
    """Load and verify the bundle in ``folder``.

    Raises:
        BundleError: a file is missing, or its content is not what ``bundle.json`` says, or the format is another.
    """
    return bundle_of(read_files(folder), folder)


def read_files(folder: Path) -> dict[str, bytes]:
    """The bytes of a bundle's files by name.

    Raises:
        BundleError: one cannot be read.
    """
    return {name: _read(folder / name) for name in reversed(FILES)}


def bundle_of(files: Mapping[str, bytes], folder: Path) -> Bundle:
    """The bundle that ``files`` are; ``folder`` is where they came from, for messages.

    Raises:
        BundleError: as :func:`load_bundle`.
    """
    content = _json(files["bundle.json"], folder / "bundle.json")
    if content.get("format") != FORMAT:
        raise BundleError(f"{folder}: got bundle format {content.get('format')!r}; this version reads format {FORMAT}")
    claimed = content.pop("hash", None)
    if _hash(content) != claimed:
        raise BundleError(f"{folder / 'bundle.json'}: content does not match its hash; train or publish it again")
    try:
        return _assemble(files, folder, content, str(claimed))
    except (StudyError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise BundleError(
            f"{folder / 'bundle.json'}: not a whole bundle ({error}); train or publish it again"
        ) from None


def without_form(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a loaded bundle as :func:`write_bundle` takes them: without what it adds itself."""
    return {name: value for name, value in facts.items() if name not in ("format", "study_hash", "files")}


def _assemble(files: Mapping[str, bytes], folder: Path, content: dict[str, Any], claimed: str) -> Bundle:
    for name in FILES[:-1]:
        if hashlib.sha256(files[name]).hexdigest() != content["files"][name]:
            raise BundleError(f"{folder / name}: changed since the bundle was written; train or publish it again")
    study = study_from_dict(content.pop("study"), "study")
    if study.hash != content["study_hash"]:
        raise ValueError("the study does not have the hash that it claims")
    packed = safetensors.numpy.load(files["model.safetensors"])
    readable = {name: np.array(value, dtype=np.float64) for name, value in content.pop("arrays").items()}
    reference = {name.removeprefix("reference."): a for name, a in packed.items() if name.startswith("reference.")}
    model, golden = RiskModel.from_arrays(study, {**packed, **readable}), Golden.from_dict(content.pop("golden"))
    return Bundle(study, model, reference, golden, content, claimed)


def _hash(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); train or publish a bundle first") from None


def _json(data: bytes, path: Path) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError as error:
        raise BundleError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise BundleError(f"{path}: expected a JSON object")
    return content


def replace_file(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` in one step."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as temporary:
        temporary.write(data)
    os.chmod(temporary.name, 0o644)
    os.replace(temporary.name, path)
