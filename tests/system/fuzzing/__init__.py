"""Parts of scripts/fuzz.py: seeds, what must hold of every input, and the two fuzzers."""
