"""Models taken into service while the event loop goes on."""

import asyncio
import threading
from datetime import UTC, datetime

import pytest

from app.errors import ModelError, ModelNotFound, NotReady, TooManyRequests, UnknownModel
from app.model.registry import LoadedModel, Registry
from app.model.selection import Selection
from app.serving.lifecycle import Lifecycle, State
from app.serving.loader import Load, Loader
from app.serving.metrics import Metrics
from tests.dummy import DummyNetwork, dummy_model


async def as_it_is(model: LoadedModel) -> LoadedModel:
    return model


class Case:
    """A loader with what it fills."""

    def __init__(
        self, load: Load, *names: str, fallback_for: str | None = None, optional: frozenset[str] = frozenset()
    ) -> None:
        self.registry, self.lifecycle = Registry(names[0]), Lifecycle()
        self.metrics = Metrics()
        selection = Selection(names, fallback_for, optional, {"odd": "It is odd."})
        self.others_ready = asyncio.Event()
        self.others_ready.set()

        async def wait() -> None:
            await self.others_ready.wait()

        self.loader = Loader(
            load, self.registry, selection, self.lifecycle, self.metrics, warm_up=as_it_is, others_ready=wait
        )

    async def run(self) -> None:
        """Until what was selected is loaded, or cannot be."""
        self.loader.start()
        async with asyncio.timeout(20):
            while self.lifecycle.state is State.LOADING:
                await asyncio.sleep(0.01)
        await self.loader.close()


def load(name: str) -> LoadedModel:
    if name == "unknown":
        raise UnknownModel("no manifest")
    if name == "damaged":
        raise ModelError("secret/path is damaged")
    if name == "defect":
        raise LookupError("secret")
    return dummy_model(DummyNetwork(), name)


async def _all(case: Case) -> list[str]:
    await case.run()
    return [model.name for model in case.registry.all()]


def test_everything_selected_is_served_before_it_is_ready() -> None:
    case = Case(load, "b", "a")
    assert asyncio.run(_all(case)) == ["a", "b"]
    assert case.lifecycle.state is State.READY
    assert not case.registry.get().fallback


def test_a_model_is_served_since_it_answers_and_not_since_it_was_read() -> None:
    async def scenario(case: Case) -> None:
        before = datetime.now(UTC)
        first = await case.loader.load("a")
        second = await case.loader.load("a")
        assert before < first.served_since < second.served_since < datetime.now(UTC)
        assert case.registry.get("a") is second
        await case.loader.close()

    model = dummy_model(DummyNetwork(), "a")
    asyncio.run(scenario(Case(lambda _: model, "a")))


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


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("unknown", "It has no manifest."),
        ("damaged", "It cannot be loaded; the service's log says why."),
        ("defect", "It cannot be loaded; the service's log says why."),
    ],
)
def test_a_model_that_nobody_asked_for_is_left_out(name: str, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    case = Case(load, "a", name, "z", optional=frozenset({name, "z"}))
    assert asyncio.run(_all(case)) == ["a", "z"]
    assert case.lifecycle.state is State.READY
    assert case.registry.unavailable == {"odd": "It is odd.", name: reason}
    assert f"Not serving {name}, which nobody asked for by name." in caplog.text


def test_a_model_that_is_loaded_after_all_is_available() -> None:
    async def scenario(case: Case) -> None:
        case.registry.unavailable["a"] = "It was damaged."
        await case.loader.load("a")
        assert "a" not in case.registry.unavailable
        await case.loader.close()

    asyncio.run(scenario(Case(load, "a")))


def test_a_defect_while_loading_is_a_failure_and_not_silence(caplog: pytest.LogCaptureFixture) -> None:
    def defect(name: str) -> LoadedModel:
        raise LookupError(name)

    case = Case(defect, "a")
    asyncio.run(case.run())
    assert case.lifecycle.state is State.FAILED
    assert "Unexpected error while loading." in caplog.text


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

    def endless(name: str) -> LoadedModel:
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


def test_one_model_is_loaded_at_a_time_and_for_everybody_who_asks_for_it() -> None:
    begun, go_on, calls = threading.Event(), threading.Event(), []

    def slow(name: str) -> LoadedModel:
        calls.append(name)
        begun.set()
        go_on.wait(20)
        return load(name)

    async def scenario(case: Case) -> None:
        together = [asyncio.create_task(case.loader.load("a")) for _ in range(3)]
        await asyncio.to_thread(begun.wait, 20)
        together[0].cancel()  # its caller has left; the others have not
        with pytest.raises(TooManyRequests) as refused:
            await case.loader.load("b")
        assert refused.value.headers["Retry-After"]
        go_on.set()
        one, other = await asyncio.gather(*together[1:])
        assert one is other is case.registry.get("a")
        assert calls == ["a"]
        await case.loader.load("b")
        with pytest.raises(NotReady):
            await case.loader.load("damaged")
        await case.loader.close()

    case = Case(slow, "a")
    asyncio.run(scenario(case))
    text = case.metrics.exposition().decode()
    assert 'model_loads_total{code="ok"} 2.0' in text
    assert 'model_loads_total{code="not_ready"} 1.0' in text


def test_the_service_is_not_ready_before_everything_else_is() -> None:
    case = Case(load, "vgg16")

    async def scenario() -> None:
        case.others_ready.clear()
        running = asyncio.create_task(case.run())
        async with asyncio.timeout(20):
            while not case.registry.all():
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert case.lifecycle.state is State.LOADING
        case.others_ready.set()
        await running

    asyncio.run(scenario())
    assert case.lifecycle.state is State.READY
