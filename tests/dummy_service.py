"""``python -m tests.dummy_service``: the service as it is run, with the dummy network in the place of real ones.

It serves ``vgg16``; ``other`` can be loaded, ``broken`` cannot, and where DUMMY_FAILS is set the first one cannot
either. A forward takes DUMMY_SECONDS.
"""

import os

from app.errors import ModelError, UnknownModel
from app.logs import set_up_logging
from app.main import serve
from app.model.registry import LoadedModel
from app.model.selection import Selection
from app.server.run import end_process
from app.settings import read_settings
from tests.dummy import DummyNetwork, dummy_model


def load(name: str) -> LoadedModel:
    if name == "broken" or os.environ.get("DUMMY_FAILS"):
        raise ModelError("it is broken")
    if name not in ("vgg16", "other"):
        raise UnknownModel("no such model")
    return dummy_model(DummyNetwork(float(os.environ.get("DUMMY_SECONDS", "0"))), name)


if __name__ == "__main__":
    settings = read_settings()
    set_up_logging(settings.log_format, settings.log_level)
    end_process(serve(settings, load, Selection(("vgg16",))))
