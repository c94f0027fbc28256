"""Masks: keys that two nodes agree on (X25519), stretched into numbers that look random (ChaCha20)."""

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fedhealth.privacy.secure_aggregation.fixed_point import Ring


def agreed(private: X25519PrivateKey, public: bytes, purpose: bytes) -> bytes:
    """The 32-byte key of two nodes for one purpose (RFC 7748, RFC 5869); the same from either side."""
    shared = private.exchange(X25519PublicKey.from_public_bytes(public))
    return HKDF(SHA256(), 32, salt=None, info=purpose).derive(shared)


def mask(seed: bytes, length: int) -> Ring:
    """``length`` numbers modulo 2^64 that a seed of 32 bytes gives (RFC 8439); a seed is used for one vector only."""
    stream = Cipher(ChaCha20(seed, bytes(16)), mode=None).encryptor().update(bytes(8 * length))
    return np.frombuffer(stream, dtype=np.uint64)
