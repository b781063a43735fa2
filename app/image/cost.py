from app.image.decode import Opened


def header_cpu_seconds(size: int) -> float:
    return 0.5


def cpu_seconds(opened: Opened) -> float:
    return 0.5 + 5e-7 * opened.width * opened.height


def memory_bytes(opened: Opened) -> int:
    return 32 * 2**20 + 28 * opened.width * opened.height
