"""Every attack, with the bounds that a decoder has: it ends inside them, and its parent goes on."""

from pathlib import Path

import pytest

from tests.system.attacks.corpus import FORMATS, attacks
from tests.system.attacks.png import RGB, picture
from tests.system.attacks.trial import STATUS, Ground

SIDE = 1_500  # what passes for large is small here, or the test would take a minute
pytestmark = pytest.mark.skipif(not Path(STATUS).exists(), reason="reads Linux's account of memory")


def test_each_ends_inside_its_bounds_and_harms_nobody() -> None:
    rooms = set()
    with Ground() as ground:
        for name, data in attacks(SIDE):
            rooms.add(name.partition("-")[0])
            trial = ground.try_out(data)
            assert trial.is_answer, f"{name}: {trial}"
            if trial.allowed_cpu_s:
                assert trial.cpu_s <= trial.allowed_cpu_s + 0.5, f"{name}: {trial}"
        assert ground.try_out(picture(64, 64, RGB)).outcome == "PNG 64x64"
    assert rooms == set(FORMATS)


def test_the_corpus_is_the_same_on_every_run() -> None:
    assert list(attacks(SIDE)) == list(attacks(SIDE))
