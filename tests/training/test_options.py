from pathlib import Path

import pytest

from app.training.arguments import make_parser
from app.training.cut import TRAIN
from app.training.options import Options, parse_options


def parse(*arguments: str) -> Options:
    return parse_options(["--data", "images", *arguments], None)


def test_rate_and_epochs_follow_what_is_trained_unless_they_are_given() -> None:
    assert parse().train == "head"
    recipes = {train: parse("--train", train).recipe for train in TRAIN}
    rates = {train: (recipe.lr, recipe.epochs, recipe.warmup_epochs) for train, recipe in recipes.items()}
    assert rates == {
        "head": (0.03, 20, 0),
        "classifier": (0.003, 6, 0),
        "block5": (0.001, 6, 0),
        "fine-tune": (0.001, 4, 1),
        "all": (0.001, 6, 0),
    }
    given = parse("--train", "head", "--lr", "0.5", "--epochs", "9").recipe
    assert (given.lr, given.epochs, given.step_epochs) == (0.5, 9, 6)
    assert parse("--epochs", "1").recipe.step_epochs == 1
    assert parse("--step-epochs", "5").recipe.step_epochs == 5


def test_every_option_arrives() -> None:
    options = parse(
        *("--base", "b", "--name", "n", "--augment", "paper", "--validation", "0.3", "--test", "0.1", "--resume"),
        *("--exclude", "e", "--labels", "l", "--ten-crop", "--workers", "3", "--feature-batch-size", "7"),
        *("--checkpoint-seconds", "1.5", "--no-cache-features", "--no-amp", "--seed", "8", "--patience", "0"),
    )
    assert (options.data, options.base, options.name, options.augment) == (Path("images"), "b", "n", "paper")
    assert (options.validation, options.test, options.resume, options.ten_crop) == (0.3, 0.1, True, True)
    assert (options.exclude, options.labels) == (Path("e"), Path("l"))
    assert (options.workers, options.feature_batch_size, options.checkpoint_seconds) == (3, 7, 1.5)
    assert options.cache_features is options.recipe.amp is False
    assert (options.recipe.seed, options.recipe.patience) == (8, 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--name", "Cat Dog"], "only lower-case letters"),
        (["--name", "../up"], "only lower-case letters"),
        (["--epochs", "0"], "a whole number of at least 1"),
        (["--workers", "-2"], "a whole number of at least 1"),
        (["--lr", "0"], "must be more than 0"),
        (["--validation", "1"], "must be at least 0 and less than 1"),
        (["--dropout", "-0.1"], "must be at least 0 and less than 1"),
        (["--train", "block4"], "invalid choice: 'block4'"),
    ],
)
def test_values_that_make_no_sense_are_refused(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        parse(*arguments)
    assert end.value.code == 2
    assert words in capsys.readouterr().err


def test_every_option_tells_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--help")
    text = " ".join(capsys.readouterr().out.split())
    for words in (
        "(default: 620)",
        "(default: 0.0005, as in the VGG paper, 3.1)",
        "classifier 0.003",
        "100 kB with classifier",
    ):
        assert words in text
    silent = [action.dest for action in make_parser(None)._actions if "default" not in (action.help or "")]
    assert silent == ["help", "net_a", "data", "exclude", "resume", "ten_crop"]


def test_a_head_is_fitted_at_once_unless_something_asks_for_steps() -> None:
    for fitted in ([], ["--augment", "light"], ["--solver", "lbfgs"]):
        options = parse(*fitted)
        assert options.is_cross_fitted
        assert (options.held_out, options.keeps_features) == (0, True)
    steps = ("--lr", "1"), ("--epochs", "3"), ("--validation", "0.3"), ("--augment", "paper"), ("--train", "classifier")
    for arguments in (*steps, ("--no-cache-features",), ("--solver", "sgd")):
        assert not parse(*arguments).is_cross_fitted
    assert (parse("--train", "block5").held_out, parse("--validation", "0.3").held_out) == (0.2, 0.3)
    assert not parse("--train", "all").keeps_features


def test_the_scale_follows_the_augmentation() -> None:
    assert [parse("--augment", one).scale for one in ("none", "crop", "paper", "trivial")] == [
        "256",
        "256",
        "jitter",
        "256",
    ]
    assert parse("--augment", "paper", "--scale", "384").scale == "384"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--solver", "lbfgs", "--lr", "1"], "has no --lr"),
        (["--solver", "lbfgs", "--train", "classifier"], "goes with --train head"),
        (["--weights", "none", "--train", "head"], "needs --train all"),
        (["--net-a", "a"], "--net-a is for --weights none"),
        (["--folds", "1"], "a whole number of at least 2"),
        (["--known-coverage", "0"], "more than 0 and at most 1"),
    ],
)
def test_what_does_not_go_together_is_refused(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        parse(*arguments)
    assert end.value.code == 2
    assert words in capsys.readouterr().err
