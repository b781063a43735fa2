"""Forms as they stream in, cut anywhere."""

import pytest

from app.decoding.buffers import Buffer
from app.errors import MalformedRequest, MissingFile
from app.http.files import File, Files, UploadLimits
from app.http.multipart import MAX_PARTS, Form
from tests.contract import check_problem
from tests.http.uploads import Uploads
from tests.running import RunningService

FORM = "multipart/form-data; boundary=b"


def part(name: str, content: bytes, filename: str | None = "x") -> bytes:
    file = f'; filename="{filename}"' if filename is not None else ""
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"


def read(body: bytes, *, step: int = 1 << 16, max_files: int = 2, content_type: str = FORM) -> list[bytes | type]:
    """What was sent in each file, or the kind of its problem."""

    def seen(file: File) -> bytes | type:
        return bytes(file.content) if isinstance(file, Buffer) else type(file)

    uploads = Uploads()
    with uploads.begin() as arrival:
        files = Files(arrival, UploadLimits(1000, max_files, 1))
        form = Form(content_type, "file", max_files, files)
        for start in range(0, len(body), step):
            form.write(body[start : start + step])
        form.end()
        return [seen(file) for file in files.found]


@pytest.mark.parametrize("step", [1, 7, 1 << 16])
def test_the_files_of_one_field_in_order_however_they_arrive(step: int) -> None:
    files = part("file", b"\r\n--b-\r\n-") + part("file", b"text", None) + part("file", b"")
    assert read(part("other", b"1") + files + b"--b--\r\n", step=step) == [b"\r\n--b-\r\n-", MissingFile]


def test_none_where_there_is_no_such_field() -> None:
    assert read(part("other", b"1") + b"--b--\r\n") == []


def test_as_many_files_as_are_allowed_and_no_more() -> None:
    assert len(read(part("file", b"1") * 2 + b"--b--\r\n")) == 2
    with pytest.raises(MalformedRequest, match="more than 2 files"):
        read(part("file", b"1") * 3 + b"--b--\r\n")


def test_as_many_parts_as_are_allowed_and_no_more() -> None:
    assert read(part("other", b"1") * MAX_PARTS + b"--b--\r\n") == []
    with pytest.raises(MalformedRequest, match=f"more than {MAX_PARTS} parts"):
        read(part("other", b"1") * (MAX_PARTS + 1) + b"--b--\r\n")


@pytest.mark.parametrize(
    ("content_type", "body", "said"),
    [
        ("multipart/form-data", b"anything", "no boundary"),
        (FORM, b"anything", "is broken"),
        (FORM, part("file", b"1"), "ends before its last boundary"),
        (FORM, b"", "ends before its last boundary"),
        (FORM, b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", "has no name"),
    ],
)
def test_what_is_wrong_is_said(content_type: str, body: bytes, said: str) -> None:
    with pytest.raises(MalformedRequest, match=said):
        read(body, content_type=content_type)


def test_a_broken_form_leaves_nothing_of_itself_in_the_log(
    service: RunningService, caplog: pytest.LogCaptureFixture
) -> None:
    body = b"--b\r\nContent-Disposition: form-data; na\x01me\r\n: x\r\n\r\n--b--\r\n"
    form = {"content-type": "multipart/form-data; boundary=b"}
    with caplog.at_level("INFO"):
        check_problem(service.client.post("/predict", content=body, headers=form), 400, "malformed_request")
    assert {record.name for record in caplog.records if record.name != "httpx"} == {"app.requests"}
