import logging

import pytest

from app.training.terminal import progress_bar, terminal

logger = logging.getLogger("app.training.anything")


def test_lines_go_to_standard_output_and_bars_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal(), progress_bar("Counting", 3, "thing", done=1) as bar:
        logger.info("the %s line", "first")
        logger.warning("the second line")
        bar.update(2)
    out, err = capsys.readouterr()
    assert out == "the first line\nthe second line\n"
    assert "Counting" in err
    assert "3/3" in err
    assert "the first line" not in err


def test_where_nobody_reads_along_there_is_neither(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal():
        pass
    logger.info("unheard")
    with progress_bar("Counting", 2, "thing") as bar:
        bar.update(2)
    assert capsys.readouterr() == ("", "")


def test_a_record_of_another_part_of_the_house_is_not_ours(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal():
        logging.getLogger("app.model.load").info("loaded")
    assert capsys.readouterr().out == ""
