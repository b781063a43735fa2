"""Progress on a terminal; nothing where the output goes to a file."""

from tqdm import tqdm

SECONDS = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt} of {total_fmt} s"


def steps_bar(total: int, unit: str) -> "tqdm[None]":
    """To be moved on by ``update()`` after each step."""
    return tqdm(total=total, unit=unit, disable=None)


def seconds_bar(seconds: float, name: str) -> "tqdm[None]":
    """To be moved on by ``update_to``."""
    return tqdm(total=round(seconds), desc=name, bar_format=SECONDS, disable=None)


def update_to(bar: "tqdm[None]", elapsed_s: float) -> None:
    """Show how many seconds have passed, at most all of them."""
    bar.update(min(round(elapsed_s), bar.total) - bar.n)
