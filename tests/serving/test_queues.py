from dataclasses import dataclass

from app.serving.queues import Queues


@dataclass
class Waiting:
    number: int


def test_the_key_of_the_oldest_goes_first_and_nothing_is_kept_of_what_has_gone() -> None:
    queues: Queues[str, Waiting] = Queues()
    waiting = [Waiting(number) for number in range(5)]
    for key, one in zip("babab", waiting, strict=True):
        queues.append(key, one)
    assert (len(queues), queues.count("b"), queues.count("c")) == (5, 3, 0)
    assert queues.oldest_key() == "b"
    assert queues.first("a") is waiting[1]
    assert {one.number for one in queues.firsts()} == {0, 1}
    assert queues.take("b", 2) == [waiting[0], waiting[2]]
    assert queues.oldest_key() == "a"
    queues.remove("b", waiting[4])
    queues.remove("b", waiting[4])
    assert [*queues] == [waiting[1], waiting[3]]
    assert queues.take("a", 9) == [waiting[1], waiting[3]]
    assert not queues
    assert queues.take("a", 1) == []
