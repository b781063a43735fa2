"""What processes tell each other in numbers."""

import os

from app.serving.tally import BUCKETS, Field, Tally, one_row


def test_everybody_reads_the_sum_and_writes_a_row() -> None:
    tally = Tally(3)
    rows = [tally.row(number) for number in range(3)]
    for number, row in enumerate(rows):
        row.set(Field.IN_FLIGHT, number)
        row.add(Field.IN_FLIGHT, 10)
    assert [row.get(Field.IN_FLIGHT) for row in rows] == [10, 11, 12]
    assert tally.total(Field.IN_FLIGHT) == 33
    assert rows[1].others(Field.IN_FLIGHT) == 22
    assert tally.most(Field.IN_FLIGHT) == 12
    assert tally.total(Field.STALLED) == 0


def test_another_process_is_seen() -> None:
    tally = Tally(2)
    row = tally.row(0)
    if (child := os.fork()) == 0:
        tally.row(1).set(Field.IN_FLIGHT, 5)
        os._exit(0)
    os.waitpid(child, 0)
    assert row.others(Field.IN_FLIGHT) == 5


def test_whoever_takes_a_row_over_begins_with_nothing() -> None:
    tally = Tally(2, ["key"])
    for slot in (Field.IN_FLIGHT, tally.key("key"), tally.bucket("10.0.0.1")):
        tally.row(0).set(slot, 7)
        assert tally.row(0).get(slot) == 0


def test_keys_are_counted_apart_and_callers_in_buckets_that_nobody_chooses() -> None:
    one, other = Tally(1, ["a", "b"]), Tally(1, ["a", "b"])
    assert one.key("a") != one.key("b")
    callers = [f"10.0.{number // 256}.{number % 256}" for number in range(1000)]
    buckets = [one.bucket(caller) for caller in callers]
    assert buckets == [one.bucket(caller) for caller in callers]
    assert buckets != [other.bucket(caller) for caller in callers]
    assert len(set(buckets)) > 800
    first = len(Field) + 2
    assert all(first <= bucket < first + BUCKETS for bucket in buckets)


def test_the_processes_that_are_there() -> None:
    tally = Tally(3)
    tally.row(2).set(Field.PID, 123)
    assert tally.pids() == [123]
    assert one_row().tally.rows == 1
