from app.http.context import Outcome, begin, context_of, note, outcome_of, timing_ms
from app.serving.pipeline import Stages


def test_of_a_header_that_is_sent_twice_the_first_counts() -> None:
    scope = {"headers": [(b"x-request-id", b"mine"), (b"x-request-id", b"other"), (b"accept", b"*/*")]}
    context = begin(scope)
    assert context.request_id == "mine"
    assert context.headers == {"x-request-id": "mine", "accept": "*/*"}
    assert context_of(scope) is context


def test_an_id_that_could_break_a_log_line_is_replaced() -> None:
    for forged in (b"", b"a b", b"x" * 65, b"\xe9", b"a\nb"):
        assert len(begin({"headers": [(b"x-request-id", forged)]}).request_id) == 32


def test_time_goes_on_from_the_headers() -> None:
    context = begin({"headers": []})
    first = context.seconds()
    assert 0 <= first <= context.seconds()


def test_nothing_is_known_of_an_outcome_until_it_is_noted() -> None:
    scope: dict[str, object] = {"headers": []}
    begin(scope)
    assert outcome_of(scope) == Outcome("ok")
    note(scope, Outcome("queue_full", "vgg16"))
    assert outcome_of(scope).code == "queue_full"


def test_stages_that_were_not_reached_have_no_time() -> None:
    assert timing_ms(None, 0.25) == {"total": 250.0}
    assert timing_ms(Stages(0.001, 0.002, 0.0003, 0.0123456), 1) == {
        "decode": 1.0, "preprocess": 2.0, "queue": 0.3, "inference": 12.346, "total": 1000.0
    }  # fmt: skip
