from app.image.decode import Opened


def header_cpu_seconds(size: int) -> float:
    return 0.5 + size * 1e-8


def header_memory_bytes(data: bytes, max_pixels: int) -> int:
    return 32 * 2**20 + 3 * len(data) + (9 * max_pixels if data[8:12] == b"WEBP" and len(data) > 4000 else 0)


def cpu_seconds(opened: Opened) -> float:
    return 0.5 + 5e-7 * opened.width * opened.height


def memory_bytes(opened: Opened) -> int:
    return 32 * 2**20 + 28 * opened.width * opened.height
