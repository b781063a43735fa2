"""Pillow's reader of GIFs without what only a second frame needs."""

from PIL import GifImagePlugin, Image


class FirstFrameGif(GifImagePlugin.GifImageFile):
    """A GIF of which nobody will look at more than the first frame.

    While Pillow opens a GIF, before anybody could check its size, it prepares to clear the first frame's place for the
    second one. That place is as large as the frame says it is: 43 bytes could take four gigabytes.
    """

    @property
    def disposal_method(self) -> int:
        """0: the frame stays, there is nothing to prepare."""
        return 0

    @disposal_method.setter
    def disposal_method(self, value: int) -> None:
        """What the file says is for the second frame."""


def register_gif_opener() -> None:
    """Make ``Image.open`` use it."""
    Image.preinit()  # registers Pillow's own, which must not come after ours
    Image.register_open("GIF", FirstFrameGif, lambda prefix: prefix.startswith((b"GIF87a", b"GIF89a")))
