"""This service with the simulated network in the place of a real one; everything else is as in production.

python -m tests.system.load.serve_simulated FIXED_MS PER_IMAGE_MS
"""

import sys
from typing import NoReturn

from app.logs import set_up_logging
from app.main import serve
from app.model.library import Library
from app.model.registry import LoadedModel
from app.model.selection import Selection
from app.server.run import end_process
from app.settings import Settings, read_settings
from tests.system.load.simulated import SimulatedNetwork


def simulated_model(settings: Settings, network: SimulatedNetwork) -> LoadedModel:
    library = Library.from_settings(settings)
    manifest = library.manifest("vgg16")
    return LoadedModel(
        manifest=manifest,
        labels=library.labels(manifest),
        network=network,
        weights_sha256="0" * 64,
        device="simulated",
        precision="fp32",
        max_batch_size=settings.max_batch_size if isinstance(settings.max_batch_size, int) else 16,
    )


def run(network: SimulatedNetwork) -> NoReturn:
    """Until the process is told to stop."""
    settings = read_settings()
    set_up_logging(settings.log_format, settings.log_level)
    model = simulated_model(settings, network)
    end_process(serve(settings, lambda _: model, Selection((model.name,))))


if __name__ == "__main__":
    run(SimulatedNetwork(float(sys.argv[1]), float(sys.argv[2])))
