"""Pillow as everybody here uses it: its plugins, its limits, and what it need not warn of."""

import logging
import warnings

import pillow_heif
from PIL import Image, ImageFile, PngImagePlugin

from app.image.color import MAX_PROFILE_BYTES
from app.image.gif import register_gif_opener

register_gif_opener()
pillow_heif.register_heif_opener()
# Pillow's own limit is a warning at one size and an error at another; ours is one number, checked before any pixel.
Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = False
# Room for the colour profiles of printers; Pillow bounds the sum of such chunks as well.
PngImagePlugin.MAX_TEXT_CHUNK = MAX_PROFILE_BYTES
# Pillow warns about odd metadata of uploads; the pixels decide, and nobody could act on it.
warnings.filterwarnings("ignore", module=r"PIL\.")
# The library's loggers print what they find inside uploads.
logging.getLogger("PIL").setLevel(logging.WARNING)
