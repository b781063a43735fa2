"""Which models to serve: decided before anything is loaded, from what lies in the store. No torch in here."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.errors import ModelError
from app.model.library import Library
from app.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Selection:
    """The models to load, the default first; ``fallback_for`` names the model whose place the default has taken.

    The service cannot do without them, except for the ``optional`` ones: they merely lie in the store, and nobody has
    asked for them by name. ``unavailable`` are models that cannot be served, with a reason that callers may read.
    """

    names: tuple[str, ...]
    fallback_for: str | None = None
    optional: frozenset[str] = frozenset()
    unavailable: Mapping[str, str] = field(default_factory=dict)

    @property
    def default(self) -> str:
        return self.names[0]


def select_models(settings: Settings) -> Selection:
    """What to serve. Raises ``ModelError`` when a model that must be served is not prepared.

    Only the default may be replaced by ``VGG_FALLBACK_MODEL``, and the log says so; a model named in ``VGG_MODELS`` is
    served or the service does not start. Whatever else lies in the store is served if it can be.
    """
    library = Library.from_settings(settings)
    default, unavailable = _choose_default(library, settings)
    names = [default, *(name for name in settings.models if name not in (default, settings.model))]
    for name in names[1:]:
        library.require_prepared(name)
    optional = []
    for name in [] if settings.models else library.prepared():
        if name in (default, settings.model):
            continue
        try:
            library.require_prepared(name)
            optional.append(name)
        except ModelError as error:
            logger.warning("Not serving %s, which nobody asked for by name: %s", name, error)
            unavailable[name] = error.reason
    fallback_for = settings.model if default != settings.model else None
    return Selection((*names, *optional), fallback_for, frozenset(optional), unavailable)


def _choose_default(library: Library, settings: Settings) -> tuple[str, dict[str, str]]:
    """The default's name, and what is unavailable if that is the fallback's; without one, the error that the missing
    model deserves."""
    try:
        library.require_prepared(settings.model)
    except ModelError as error:
        if not settings.fallback_model:
            raise
        logger.warning("Serving %s instead of %s. %s", settings.fallback_model, settings.model, error)
        library.require_prepared(settings.fallback_model)
        return settings.fallback_model, {settings.model: error.reason}
    return settings.model, {}
