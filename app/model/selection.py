"""Which models to serve: decided before anything is loaded, from what lies in the store. No torch in here."""

import logging
from dataclasses import dataclass

from app.errors import ModelError
from app.model.store import ModelStore, prepared_models, require_prepared
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
    default = settings.model
    if not ModelStore(settings.store_dir, default).is_prepared():
        default = _fall_back(settings)
    fallback_for = settings.model if default != settings.model else None
    others = settings.models or prepared_models(settings.store_dir)
    names = [default, *(name for name in others if name not in (default, fallback_for))]
    for name in names:
        require_prepared(name, settings.store_dir)
    return Selection(tuple(names), fallback_for)


def _fall_back(settings: Settings) -> str:
    """The fallback's name, said aloud; without one, the error that the missing model deserves."""
    try:
        require_prepared(settings.model, settings.store_dir)
    except ModelError as error:
        if not settings.fallback_model:
            raise
        logger.warning("Serving %s in the place of %s. %s", settings.fallback_model, settings.model, error)
    return settings.fallback_model
