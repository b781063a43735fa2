"""Which models to serve: decided before anything is loaded, from what lies in the store. No torch in here."""

import logging
from dataclasses import dataclass

from app.errors import ModelError
from app.model.library import Library
from app.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Selection:
    """The models to load, the default first; ``fallback_for`` names the model whose place the default has taken."""

    names: tuple[str, ...]
    fallback_for: str | None = None

    @property
    def default(self) -> str:
        return self.names[0]


def select_models(settings: Settings) -> Selection:
    """What to serve. Raises ``ModelError`` when a model that must be served is not prepared.

    Only the default may be replaced by ``VGG_FALLBACK_MODEL``, and the log says so; a model named in ``VGG_MODELS`` is
    served or the service does not start.
    """
    library = Library.from_settings(settings)
    default = settings.model
    if not library.store(default).is_prepared():
        default = _fall_back(library, settings)
    fallback_for = settings.model if default != settings.model else None
    others = settings.models or library.prepared()
    names = [default, *(name for name in others if name not in (default, fallback_for))]
    for name in names:
        library.require_prepared(name)
    return Selection(tuple(names), fallback_for)


def _fall_back(library: Library, settings: Settings) -> str:
    """The fallback's name, said aloud; without one, the error that the missing model deserves."""
    try:
        library.require_prepared(settings.model)
    except ModelError as error:
        if not settings.fallback_model:
            raise
        logger.warning("Serving %s in the place of %s. %s", settings.fallback_model, settings.model, error)
    return settings.fallback_model
