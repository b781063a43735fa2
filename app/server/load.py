"""``python -m app.server.load NAME``: have the service in this container take in a model that was prepared meanwhile.

For replicas behind a proxy, each of which has to be asked. The key is the first of ``VGG_ADMIN_KEYS``. Exit status: 0
it is served, 1 it is not, and standard error says why; 2 wrong usage. Standard library only.
"""

import http.client
import json
import os
import sys
import urllib.parse

from app.server.healthcheck import own_address

LOADED_S = 600.0  # weights are read from a disk that may be slow, and every batch size is run once


def load(host: str, port: int, name: str, key: str) -> tuple[bool, str]:
    """Whether it is served now, and a sentence about it."""
    connection = http.client.HTTPConnection(host, port, timeout=LOADED_S)
    try:
        connection.request("POST", f"/models/{urllib.parse.quote(name, safe='')}/load", headers={"X-API-Key": key})
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        return False, f"The service at {host}:{port} did not answer ({error})."
    finally:
        connection.close()
    if response.status != http.client.OK:
        return False, f"{name} is not loaded: {answer['detail']}"
    return True, f"{name} is served since {answer['served_since']}, version {answer['version']}."


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    key, *_ = os.environ.get("VGG_ADMIN_KEYS", "").split(",")
    done, sentence = load(*own_address(), arguments[0], key.strip())
    print(sentence, file=sys.stdout if done else sys.stderr)
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
