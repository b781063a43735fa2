import struct

import pytest
from PIL import GifImagePlugin, Image

from app.errors import TooManyPixels
from app.image.decode import decode
from app.image.gif import FirstFrameGif
from tests.pictures import difference, encode, photograph
from tests.system.fuzzing.holds import RESET_PEAK, check_memory

CLEAR = 2 << 2  # the disposal method that clears the frame's place


def gif(frame: tuple[int, int]) -> bytes:
    """43 bytes: a canvas of 40 x 30, and a frame that is to be cleared before the next one (GIF89a, 18, 20 and 23)."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 40, 30, 0xF0, 0, 0) + bytes(6)
    control = b"\x21\xf9\x04" + bytes((CLEAR, 0, 0, 0, 0))
    descriptor = b"\x2c" + struct.pack("<HHHHB", 0, 0, *frame, 0)
    return screen + control + descriptor + b"\x02\x02\x44\x01\x00;"


@pytest.mark.skipif(not RESET_PEAK.exists(), reason="reads Linux's account of memory")
def test_a_frame_beyond_the_limit_takes_no_memory() -> None:
    check_memory(gif((20_000, 20_000)))  # Pillow's own reader takes 380 MiB


def test_a_frame_beyond_its_canvas_counts_with_its_size() -> None:
    with pytest.raises(TooManyPixels, match="65535x65535"):
        decode(gif((65535, 65535)), 10**8)


@pytest.mark.parametrize("disposal", [0, 1, 2, 3])
def test_the_first_frame_is_the_one_that_pillow_reads(disposal: int) -> None:
    frames = [photograph().rotate(90)] * 2
    data = encode(photograph(), "GIF", save_all=True, append_images=frames, disposal=disposal)
    assert difference(decode(data, 10**8).pixels, photograph()) < 7


def test_it_is_the_reader_that_pillow_uses() -> None:
    assert Image.OPEN["GIF"][0] is FirstFrameGif
    assert GifImagePlugin.GifImageFile in FirstFrameGif.__mro__
