"""Bundles: trained, immutable, verifiable models."""

from fedhealth.registry.bundle import Bundle, BundleError, load_bundle, write_bundle

__all__ = ["Bundle", "BundleError", "load_bundle", "write_bundle"]
