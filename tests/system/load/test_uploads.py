"""Requests as each server wants them."""

import json

from tests.system.load.uploads import Upload

UPLOAD = Upload(b"\xff\xd8jpeg", 281)


def test_a_binary_tensor_is_a_head_in_json_and_the_length_before_the_bytes() -> None:
    head, _, body = UPLOAD.ask("tensor").partition(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ") for line in lines)
    assert line == "POST /v2/models/classify/infer HTTP/1.1"
    assert int(headers["Content-Length"]) == len(body)
    length = int(headers["Inference-Header-Content-Length"])
    (tensor,) = json.loads(body[:length])["inputs"]
    assert (tensor["datatype"], tensor["shape"]) == ("BYTES", [1, 1])
    assert tensor["parameters"] == {"binary_data_size": len(body) - length}
    assert body[length:] == b"\x06\x00\x00\x00" + UPLOAD.jpeg


def test_a_raw_body_is_the_photograph_and_a_form_holds_it() -> None:
    assert UPLOAD.ask("raw", "X-A: b\r\n").endswith(b"X-A: b\r\n\r\n" + UPLOAD.jpeg)
    assert UPLOAD.ask("multipart").startswith(b"POST /predict HTTP/1.1\r\n")
    assert b'name="file"' in UPLOAD.ask("multipart")
