"""``python -m app.server.healthcheck``: 0 when the service in this container is ready, else 1.

Standard library only. It asks where the service's own settings say that it listens.
"""

import http.client
import os
import sys

ANSWER_S = 4.0
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not listened on


def is_ready(host: str, port: int) -> bool:
    """Ask ``/readyz``."""
    connection = http.client.HTTPConnection(host, port, timeout=ANSWER_S)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def own_address() -> tuple[str, int]:
    """Where the service in this container is reached from within."""
    host = os.environ.get("VGG_HOST", "127.0.0.1")
    return EVERYWHERE.get(host, host), int(os.environ.get("VGG_PORT", "8000"))


def main() -> int:
    return 0 if is_ready(*own_address()) else 1


if __name__ == "__main__":
    sys.exit(main())
