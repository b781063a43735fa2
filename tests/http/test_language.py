import pytest

from app.http.language import preferred


@pytest.mark.parametrize(
    "accept_language",
    [
        "zh", "zh-CN", "ZH-cn", "zh-Hans-CN", "zh-TW", "zh-CN,zh;q=0.9,en;q=0.8,en-GB;q=0.7", "en;q=0.8, zh-CN",
        "zh;q=0.5, en;q=0.4", "fr, zh;q=0.2, en;q=0.1", "zh, en", "en;q=0, *", "en;q=0,zh;q=0.001", "de,zh;q=0.1",
        "zh;q=1.000", " zh ;  q=0.3 ", "en;q=high, zh;q=0.1", ",,zh,,", "zh-CN;q=0.1, zh;q=0.9, en;q=0.5",
        "*;q=0.3, zh",
    ],
)  # fmt: skip
def test_chinese_is_preferred(accept_language: str) -> None:
    assert preferred(accept_language) == "zh"


@pytest.mark.parametrize(
    "accept_language",
    [
        "", "en", "en-US,en;q=0.9", "*", "fr", "de, fr;q=0.5", "en, zh", "zh;q=0.5, en;q=0.6", "zh;q=0", "zh;q=0, *",
        "zh;q=0.0, fr", "zh;q=0,en;q=0", "zh;q=2", "zh;q=-1", "zh;q=0.1234", "zh_CN", "zhx", "x-zh", "zh;level=1",
        "zh;q=0.3, *;q=0.5", "\x00", "zh-", "中文",
    ],
)  # fmt: skip
def test_english_is_given_otherwise(accept_language: str) -> None:
    assert preferred(accept_language) == "en"


def test_a_header_without_end_costs_nothing() -> None:
    assert preferred("en;q=0.1," * 100_000 + "zh") == "en"
    assert preferred("zh-" + "a" * 100_000) == "en"
