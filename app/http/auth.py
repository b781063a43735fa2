"""API keys: compared in constant time, never logged."""

import hashlib
import hmac
from collections.abc import Iterable

from app.errors import Forbidden, Unauthorized


class KeyRing:
    """The keys that may call. Only their digests are kept."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = tuple(_digest(key) for key in keys)

    def check(self, key: str | None) -> str | None:
        """A name for the caller (a digest of its key), ``None`` when the API is open.

        Raises ``Unauthorized`` when keys are configured and this is none of them.
        """
        if not self._digests:
            return None
        digest = _digest(key or "")
        # Every digest is compared, whether or not one has matched: the time tells nothing.
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        if not any(matches):
            raise Unauthorized(
                "Send a valid key as X-API-Key or as a bearer token.", {"WWW-Authenticate": 'Bearer realm="vgg16"'}
            )
        return digest.hex()

    def check_management(self, key: str | None) -> None:
        """Raises ``Forbidden`` when no key is configured: an open API must not be managed by everybody."""
        if not self._digests:
            raise Forbidden("Management calls need an API key to be configured (VGG_API_KEYS).")
        self.check(key)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
