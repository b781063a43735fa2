import pytest

from app.decoding.messages import MESSAGE_BYTES, Answer, Job
from app.errors import InternalError, TooManyPixels
from app.image.decode import ImageInfo
from app.image.views import Place, Views, Wanted, Whole


def test_a_job_comes_as_it_was_sent_with_a_hundred_and_fifty_views() -> None:
    places = tuple(Place(x / 24, y / 2, mirrored) for x in range(25) for y in range(3) for mirrored in (False, True))
    wanted = Wanted((Views(256, 224, "bicubic", places), Whole(384, "bilinear", mirrored=True)))
    job = Job(1 << 40, 12, (1 << 40) + 4096, 1 << 32, wanted, 10**7)
    message = job.pack()
    assert len(places) == 150
    assert len(message) < MESSAGE_BYTES
    assert Job.unpack(message) == job


def test_an_answer_comes_as_it_was_sent() -> None:
    answer = Answer(False, 0, ImageInfo("JPEG", 3, 2), 0.5, 0.25)
    assert Answer.unpack(answer.pack()) == answer
    assert answer.error is None


def test_a_refusal_is_the_error_that_it_was() -> None:
    error = Answer.unpack(Answer.refuse(TooManyPixels("so many")).pack()).error
    assert isinstance(error, TooManyPixels)
    assert error.detail == "so many"


@pytest.mark.parametrize("code", ["internal", "unauthorized", "no such code"])
def test_any_other_code_is_a_defect_whose_text_stays_here(code: str) -> None:
    error = Answer(True, code=code, detail="a traceback").error
    assert isinstance(error, InternalError)
    assert "traceback" not in error.detail


@pytest.mark.parametrize(
    "message",
    [b"", b"\xff", b"null", b"{}", b"[]", b"[1]", b'[0,0,[1],0,0,"",""]', b'[0,0,null,"x",0,"",""]', b"[" * 60_000],
)
def test_what_no_decoder_says_is_told_apart(message: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whichever
        Answer.unpack(message)
