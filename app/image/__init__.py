"""From the bytes of an upload to the pixels that a network sees."""
