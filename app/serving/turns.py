"""Whose turn it is when both single items and items in bulk wait for one runner."""

# Of the runner's time, while others wait.
BULK_SHARE = 1 / 8


class Turns:
    """Single items go first. For every second that items in bulk let them go first, these may take a share of it.

    Seconds are what counts, since one item in bulk may take as long as many single ones. Nothing is saved up for a time
    when nobody else waits, and what is taken while nobody else waits costs nothing.
    """

    def __init__(self) -> None:
        self._credit_s = 0.0

    def bulk_is_next(self, *, single_waits: bool, bulk_waits: bool) -> bool:
        if not bulk_waits:
            self._credit_s = 0.0
        return bulk_waits and (not single_waits or self._credit_s > 0)

    def count(self, seconds: float, *, bulk: bool, others_wait: bool) -> None:
        """A batch of one kind took so long; ``others_wait`` when there were some of the other kind."""
        if others_wait:
            self._credit_s += -seconds if bulk else seconds * BULK_SHARE / (1 - BULK_SHARE)
