"""What schemathesis cannot know from the document: what an image looks like. Loaded into its process.

The environment says which images (``IMAGES``): every request with a ``valid`` one must be answered, ``broken`` ones
come damaged at random.
"""

import os
from random import Random
from typing import Any

import schemathesis
from hypothesis import strategies

from tests.system.fuzzing.mutations import mutate
from tests.system.fuzzing.seeds import seeds

REFUSED = "TIFF-LAB"
MOST_CLASSES = 1000
ALL = [data for name, data in seeds().items() if name != REFUSED]

valid = strategies.sampled_from(ALL)
broken = strategies.builds(
    lambda data, other, seed: mutate(data, other, Random(seed)), valid, valid, strategies.integers(0, 2**32)
)
images = {"valid": valid, "broken": strategies.one_of(valid, broken, strategies.binary())}[os.environ["IMAGES"]]

schemathesis.openapi.format("binary", images)
for media_type in ("image/*", "application/octet-stream"):
    schemathesis.openapi.media_type(media_type, images)


@schemathesis.hook
def filter_query(context: Any, query: dict[str, Any]) -> bool:
    """How many classes there are depends on the model: a document cannot say what too many are."""
    top_k = (query or {}).get("top_k")
    return not isinstance(top_k, int) or top_k <= MOST_CLASSES
