"""``python -m tests.dummy_service``: the service as it is run, with the dummy network in the place of real ones.

It serves ``vgg16``; ``other`` and ``unsure`` can be loaded, of which the second knows nothing of what it is shown;
``broken`` cannot, and where DUMMY_FAILS is set the first one cannot
either. A forward takes DUMMY_SECONDS.
"""

import os
from dataclasses import replace

from app.errors import ModelError, UnknownModel
from app.logs import set_up_logging
from app.main import serve
from app.model.manifest import Known
from app.model.registry import LoadedModel
from app.model.selection import Selection
from app.server.run import end_process
from app.settings import read_settings
from tests.dummy import DummyNetwork, dummy_model


def load(name: str) -> LoadedModel:
    if name == "broken" or os.environ.get("DUMMY_FAILS"):
        raise ModelError("it is broken")
    if name not in ("vgg16", "other", "unsure"):
        raise UnknownModel("no such model")
    model = dummy_model(DummyNetwork(float(os.environ.get("DUMMY_SECONDS", "0"))), name)
    if name != "unsure":
        return model
    known = Known(threshold=1, coverage=0, risk=0, curve=())
    return replace(model, manifest=model.manifest.model_copy(update={"known": known}))


if __name__ == "__main__":
    settings = read_settings()
    set_up_logging(settings.log_format, settings.log_level)
    end_process(serve(settings, load, Selection(("vgg16",))))
