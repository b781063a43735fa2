"""``GET /labels``: which classes of a model a word names."""

from typing import Annotated
from weakref import WeakKeyDictionary

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from app import errors
from app.http.answers import class_info, model_ref
from app.http.problems import document
from app.http.routes import GivenKey, TheService
from app.http.schemas import LabelList
from app.model.registry import ServedModel
from app.model.search import LabelIndex, fold

labels = APIRouter(tags=["models"])
_indices: WeakKeyDictionary[ServedModel, LabelIndex] = WeakKeyDictionary()


class LabelQuery(BaseModel):
    """Anything else is refused rather than ignored."""

    model_config = ConfigDict(extra="forbid")

    q: str = Field(
        min_length=1,
        max_length=100,
        description="What to look for in the names: a word or a part of one, in English or Chinese, or a WordNet id.",
        examples=["金毛"],
    )
    model: str | None = Field(None, description="A served model; default: the service's default model.")
    limit: int = Field(20, ge=1, le=1000, description="How many classes to return.")


async def check_key(service: TheService, key: GivenKey) -> None:
    """Before the query is looked at: a stranger learns nothing from what is wrong with it."""
    service.keys.check(key)


@labels.get(
    "/labels",
    summary="Find a class by any of its names",
    responses=document(errors.Unauthorized, errors.ModelNotFound, errors.InvalidParameter),
    dependencies=[Depends(check_key)],
)
async def find_labels(query: Annotated[LabelQuery, Query()], service: TheService) -> LabelList:
    """The classes that have the query in a label or synonym of either language, or have it as their WordNet id.

    The likeliest comes first: a name that is the query, then one of which it is a word, then the others; labels before
    synonyms. Case, accents, full-width characters, spaces and punctuation make no difference. The Chinese names are in
    simplified characters.
    """
    model = service.pipeline.registry.get(query.model)
    if not fold(query.q):
        raise errors.InvalidParameter("q must have a letter or a digit.")
    matches = _index(model).search(query.q)
    return {
        "model": model_ref(model),
        "total": len(matches),
        "labels": [{**class_info(match.label), "matched": match.name} for match in matches[: query.limit]],
    }


def _index(model: ServedModel) -> LabelIndex:
    """Made once for each model: folding thousands of names takes longer than searching them."""
    found = _indices.get(model)
    if found is None:
        found = _indices[model] = LabelIndex(model.labels)
    return found
