"""Models taken into service while the event loop goes on."""

import asyncio
import threading

import pytest

from app.errors import ModelError, ModelNotFound, NotReady, UnknownModel
from app.model.registry import Registry, ServedModel
from app.model.selection import Selection
from app.serving.lifecycle import Lifecycle, State
from app.serving.loader import Load, Loader
from tests.dummy import DummyNetwork, dummy_model


class Case:
    """A loader with what it fills."""

    def __init__(self, load: Load, *names: str, fallback_for: str | None = None) -> None:
        self.registry, self.lifecycle = Registry(names[0]), Lifecycle()
        self.loader = Loader(load, self.registry, Selection(names, fallback_for), self.lifecycle)

    async def run(self) -> None:
        """Until what was selected is loaded, or cannot be."""
        self.loader.start()
        async with asyncio.timeout(20):
            while self.lifecycle.state is State.LOADING:
                await asyncio.sleep(0.01)
        await self.loader.close()


def load(name: str) -> ServedModel:
    if name == "unknown":
        raise UnknownModel("no manifest")
    if name == "damaged":
        raise ModelError("secret/path is damaged")
    return dummy_model(DummyNetwork(), name)


async def _all(case: Case) -> list[str]:
    await case.run()
    return [model.name for model in case.registry.all()]


def test_everything_selected_is_served_before_it_is_ready() -> None:
    case = Case(load, "b", "a")
    assert asyncio.run(_all(case)) == ["a", "b"]
    assert case.lifecycle.state is State.READY
    assert not case.registry.get().fallback


def test_only_the_default_is_called_a_fallback() -> None:
    case = Case(load, "small", "other", fallback_for="vgg16")
    asyncio.run(case.run())
    assert case.registry.get("small").fallback
    assert not case.registry.get("other").fallback


@pytest.mark.parametrize("name", ["unknown", "damaged"])
def test_one_model_that_cannot_be_had_is_the_whole_services_failure(name: str) -> None:
    case = Case(load, "a", name)
    asyncio.run(case.run())
    assert case.lifecycle.state is State.FAILED


def test_a_defect_while_loading_is_a_failure_and_not_silence(caplog: pytest.LogCaptureFixture) -> None:
    def defect(name: str) -> ServedModel:
        raise LookupError(name)

    case = Case(defect, "a")
    asyncio.run(case.run())
    assert case.lifecycle.state is State.FAILED
    assert "A defect of ours while loading." in caplog.text


def test_a_model_that_cannot_be_loaded_later_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(case: Case) -> None:
        await case.loader.load("a")
        served = case.registry.get("a")
        with pytest.raises(ModelNotFound):
            await case.loader.load("unknown")
        with pytest.raises(NotReady) as refused:
            await case.loader.load("damaged")
        assert "secret" not in refused.value.detail
        assert "secret/path is damaged" in caplog.text
        assert case.registry.all() == [served]
        await case.loader.close()

    asyncio.run(scenario(Case(load, "a")))


def test_closing_waits_for_no_model_and_ends_the_thread() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def endless(name: str) -> ServedModel:
        begun.set()
        go_on.wait(20)
        return dummy_model(DummyNetwork(), name)

    threads: list[threading.Thread] = []

    async def scenario(case: Case) -> None:
        case.loader.start()
        await asyncio.to_thread(begun.wait, 20)
        threads.extend(thread for thread in threading.enumerate() if thread.name.startswith("loading"))
        await asyncio.wait_for(case.loader.close(), 5)
        assert case.lifecycle.state is State.LOADING
        go_on.set()

    asyncio.run(scenario(Case(endless, "a", "b")))
    (thread,) = threads
    thread.join(5)
    assert not thread.is_alive()
