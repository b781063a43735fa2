"""Ways of looking at a photograph beside a single crop: how many right answers, and how much time."""

from collections.abc import Sequence
from pathlib import Path

from app.errors import ModelError
from app.model.evaluation import plan_of
from app.model.wish import ASKED, Wish
from app.settings import read_settings
from app.training.evaluation import Evaluation, Question, evaluate

TOP = 5


def parse_wish(text: str) -> Wish:
    """``multi_crop``, ``multi_crop:5x5``, ``dense:256,384,512``, ``multi_crop:5x5:256,384,512``. Raises
    ``ModelError``."""
    name, *more = text.split(":")
    if name not in ASKED:
        raise ModelError(f"there is no evaluation {name!r}; there are {', '.join(ASKED)}.")
    crops = next((one for one in more if one in ("10", "5x5")), None)
    scales = next((one for one in more if one not in ("10", "5x5")), None)
    return Wish(name, crops, scales)  # type: ignore[arg-type]  # both have been looked at


def measure_evaluations(data: Path, model: str, asked: Sequence[str]) -> None:
    """Prints each beside ``single``, on the same labelled photographs, in one run."""
    wishes = {name: parse_wish(name) for name in asked}
    settings = read_settings()

    def ask(wish: Wish) -> Evaluation:
        return evaluate(Question(data, model, False, None, None, 1, wish), settings)

    single = ask(Wish())
    others = {name: ask(wish) for name, wish in wishes.items()}
    seconds = min(single.seconds, ask(Wish()).seconds)  # the first one may have read files that were not in memory
    print(f"{model}, {len(single.files)} photographs")
    print(f"single: {_shares(single)}; {1000 * seconds / len(single.files):.0f} ms each")
    for name, found in others.items():
        views = plan_of(wishes[name].evaluation_by(found.model), found.model).views
        better, worse = _changed(single, found)
        print(
            f"{name}: {f'1 or {views}' if wishes[name].is_auto else views} views; {_shares(found)}; "
            f"{found.seconds / seconds:.1f} x the time of single; "
            f"right where single is wrong {better}, wrong where it is right {worse}"
        )


def _shares(evaluation: Evaluation) -> str:
    top = f"top-1 {evaluation.top(1)}"
    return top if evaluation.logits.shape[1] <= TOP else f"{top}, top-5 {evaluation.top(TOP)}"


def _changed(single: Evaluation, other: Evaluation) -> tuple[int, int]:
    right = [one.logits.argmax(1) == one.targets for one in (single, other)]
    return int((~right[0] & right[1]).sum()), int((right[0] & ~right[1]).sum())
