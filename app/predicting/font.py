"""A font that has Chinese characters, wherever this machine has one."""

from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

from app.errors import ModelError

# Noto Sans CJK, SIL Open Font License, 27 MB: the extra `pictures`.
PACKAGE, FILE = "cvttf_NotoSansCJK_Regular", "NotoSansCJKtc-Regular.otf"
SYSTEM = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",  # Debian's fonts-noto-cjk
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",  # Debian's fonts-wqy-microhei
    "/usr/share/fonts/google-noto-cjk/NotoSansCJK-Regular.ttc",  # Fedora
    "/System/Library/Fonts/PingFang.ttc",
    "/System/Library/Fonts/STHeiti Medium.ttc",
)
NONE = (
    "No font with Chinese characters was found. Install the extra 'pictures' (scripts/install --extras "
    "embedded,pictures) or Debian's fonts-noto-cjk, or name a font with --font."
)


def find_font(given: Path | None) -> Path:
    """The file of a font. Raises ``ModelError`` when there is none."""
    if given is not None:
        if not given.is_file():
            raise ModelError(f"there is no font {given}.")
        return given
    spec = find_spec(PACKAGE)
    packaged = [Path(folder) / FILE for folder in (spec.submodule_search_locations or ())] if spec else []
    found = next((path for path in (*packaged, *map(Path, SYSTEM)) if path.is_file()), None)
    if found is None:
        raise ModelError(NONE)
    return found


def open_font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    """Raises ``ModelError`` for a file that is no font."""
    try:
        return ImageFont.truetype(str(path), size)
    except OSError as error:
        raise ModelError(f"{path} is no font that can be read.") from error
