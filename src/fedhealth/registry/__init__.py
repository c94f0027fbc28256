"""Bundles: trained, immutable, verifiable models; and which of them is served."""

from fedhealth.registry.bundle import Bundle, BundleError, load_bundle, without_form, write_bundle
from fedhealth.registry.history import history, undisturbed
from fedhealth.registry.model_card import model_card
from fedhealth.registry.publish import challenge, note_refusal, publish, rollback
from fedhealth.registry.signing import load_signed, load_signing_key, sign_bundle, signer
from fedhealth.registry.standing import (
    Version,
    challenger,
    champion,
    find_version,
    served_last,
    served_since,
    versions,
)

__all__ = [
    "Bundle",
    "BundleError",
    "Version",
    "challenge",
    "challenger",
    "champion",
    "find_version",
    "history",
    "load_bundle",
    "load_signed",
    "load_signing_key",
    "model_card",
    "note_refusal",
    "publish",
    "rollback",
    "served_last",
    "served_since",
    "sign_bundle",
    "signer",
    "undisturbed",
    "versions",
    "without_form",
    "write_bundle",
]
