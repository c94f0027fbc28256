"""Bundles: trained, immutable, verifiable models; and which of them is served."""

from fedhealth.registry.bundle import Bundle, BundleError, load_bundle, without_form, write_bundle
from fedhealth.registry.model_card import model_card
from fedhealth.registry.publish import Version, champion, find_version, history, publish, rollback, versions

__all__ = [
    "Bundle",
    "BundleError",
    "Version",
    "champion",
    "find_version",
    "history",
    "load_bundle",
    "model_card",
    "publish",
    "rollback",
    "versions",
    "without_form",
    "write_bundle",
]
