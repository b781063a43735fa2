"""API keys: compared in constant time, never logged."""

import hashlib
import hmac
from collections.abc import Iterable

from app.errors import Forbidden, Unauthorized


class KeyRing:
    """The keys that may call, and those that may manage as well. Only their digests are kept.

    Without any of the former the API is open; without any of the latter nobody manages.
    """

    def __init__(self, keys: Iterable[str], admin_keys: Iterable[str] = ()) -> None:
        self._callers = tuple(_digest(key) for key in keys)
        self._admins = tuple(_digest(key) for key in admin_keys)

    @property
    def names(self) -> list[str]:
        """Those that ``check`` gives to callers."""
        return [digest.hex() for digest in dict.fromkeys(self._callers + self._admins)]

    def check(self, key: str | None) -> str | None:
        """A name for the caller (a digest of its key), ``None`` when the API is open.

        Raises ``Unauthorized`` when keys are configured and this is none of them.
        """
        if not self._callers:
            return None
        digest = _digest(key or "")
        if not _is_among(digest, self._callers + self._admins):
            raise _unauthorized()
        return digest.hex()

    def check_admin(self, key: str | None) -> None:
        """Raises ``Forbidden`` when no admin key is configured, or the caller's own key may do less."""
        if not self._admins:
            raise Forbidden("Management calls need an admin key, and this service has none (VGG_ADMIN_KEYS).")
        digest = _digest(key or "")
        if _is_among(digest, self._admins):
            return
        if _is_among(digest, self._callers):
            raise Forbidden("This key may not manage models; it takes an admin key.")
        raise _unauthorized()


def _is_among(digest: bytes, known: tuple[bytes, ...]) -> bool:
    """Every digest is compared, whether or not one has matched: the time tells nothing."""
    return sum(hmac.compare_digest(digest, one) for one in known) > 0


def _unauthorized() -> Unauthorized:
    return Unauthorized(
        "Send a valid key as X-API-Key or as a bearer token.", {"WWW-Authenticate": 'Bearer realm="vgg16"'}
    )


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
