"""Pillow as everybody here uses it: its plugins, its limits, and what it need not warn of."""

import logging
import warnings

import pillow_heif
from PIL import (
    AvifImagePlugin,
    Image,
    ImageFile,
    MpoImagePlugin,  # noqa: F401 - imported now, not when the first such picture comes: a process has bounds then
    PngImagePlugin,
    TiffImagePlugin,  # noqa: F401
    WebPImagePlugin,  # noqa: F401
)

from app.image.color import MAX_PROFILE_BYTES
from app.image.gif import register_gif_opener

register_gif_opener()
# One process is one core. (libde265 has a worker thread all the same.) Nobody asks for thumbnails and depth maps.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
# Pillow's own limit is a warning at one size and an error at another; ours is one number, checked before any pixel.
Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = False
# Room for the colour profiles of printers, and in all for four such texts.
PngImagePlugin.MAX_TEXT_CHUNK = MAX_PROFILE_BYTES
PngImagePlugin.MAX_TEXT_MEMORY = 4 * MAX_PROFILE_BYTES
# Pillow warns about odd metadata of uploads; the pixels decide, and nobody could act on it.
warnings.filterwarnings("ignore", module=r"PIL\.")
# The library's loggers print what they find inside uploads.
logging.getLogger("PIL").setLevel(logging.WARNING)
