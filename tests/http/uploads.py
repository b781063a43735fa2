"""Uploads into small buffers, without a socket; who was pushed out is counted."""

import mmap

from app.decoding.buffers import Block, Buffers
from app.http.arrivals import Arrival, Arrivals
from app.serving.tally import Field, Tally

PAGE = mmap.PAGESIZE


class Uploads:
    """Pixels take a page unless told otherwise."""

    def __init__(self, *, max_pages: int = 1000, share_pages: int = 1000, places: int = 100) -> None:
        self.row = Tally(1).row(0)
        self.buffers = Buffers(
            Block(places, 100 * PAGE),
            range(places),
            on_held=lambda change: self.row.add(Field.CHARGED_BYTES, change),
        )
        self.pushed_out = 0
        self.arrivals = Arrivals(
            self.buffers, self.row, max_bytes=max_pages * PAGE, share_bytes=share_pages * PAGE, on_push_out=self._count
        )

    def begin(self, caller: str = "a", announced_pages: int = 0, pixels_pages: int = 1) -> Arrival:
        return self.arrivals.begin(caller, announced_pages * PAGE, pixels_pages * PAGE)

    @property
    def charged_pages(self) -> float:
        return self.arrivals.charged_bytes / PAGE

    def _count(self) -> None:
        self.pushed_out += 1
