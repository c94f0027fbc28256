"""Bundles: trained, immutable, verifiable models; and which of them is served."""

from fedhealth.registry.bundle import Bundle, BundleError, load_bundle, write_bundle
from fedhealth.registry.model_card import model_card
from fedhealth.registry.publish import publish

__all__ = ["Bundle", "BundleError", "load_bundle", "model_card", "publish", "write_bundle"]
