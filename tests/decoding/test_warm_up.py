"""After the warm-up nothing is left to be loaded, whoever the service runs as."""

import os

import pytest

from app.decoding.confine import confine
from app.decoding.warm_up import warm_up
from app.errors import UndecodableImage
from app.image.reader import Reader
from tests.decoders import VGG16
from tests.system.fuzzing.seeds import seeds

NOBODY = 65534


@pytest.mark.parametrize("exact", [True, False])
def test_a_confined_process_reads_every_kind_of_image(exact: bool) -> None:
    pictures, reader = seeds(), Reader(10**8, exact=exact)
    expected = {name: _outcome(reader, data) for name, data in pictures.items()}
    warm_up()
    parent = os.getpid()
    child = os.fork()
    if not child:
        status = 1
        try:
            if os.getuid() == 0:
                os.setuid(NOBODY)  # root may do more
            confine(parent)
            status = 0 if {name: _outcome(reader, data) for name, data in pictures.items()} == expected else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def _outcome(reader: Reader, data: bytes) -> bytes:
    try:
        return reader.read(data, VGG16).pixels.tobytes()
    except UndecodableImage as error:
        return error.detail.encode()
