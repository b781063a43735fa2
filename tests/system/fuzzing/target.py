"""The process that atheris drives: ``python -m tests.system.fuzzing.target CORPUS [libFuzzer's options]``.

It ends with a status other than 0, and leaves the input that did it, when ``check_memory`` does not hold, when a
decoder brings the process down, and when libFuzzer's limits on time and memory are exceeded. Native code is not
instrumented: what guides the fuzzer are the branches of Pillow's and our own Python.
"""

import sys
from random import Random

import atheris

with atheris.instrument_imports(include=["PIL", "pillow_heif", "app.image"]):
    from tests.system.fuzzing.holds import check_everything, check_memory
from tests.system.fuzzing.mutations import mutate, repair
from tests.system.fuzzing.seeds import seeds

OTHERS = list(seeds().values())


def mutated(data: bytes, max_size: int, seed: int) -> bytes:
    """By turns libFuzzer's own mutations, with checksums that fit, and ours, which know images."""
    random = Random(seed)
    if random.random() < 0.5 or not data:
        return repair(atheris.Mutate(data, max_size))[:max_size]
    return mutate(data, random.choice(OTHERS), random)[:max_size]


def main() -> None:
    for data in OTHERS:  # caches and buffers that stay are no growth
        check_everything(data)
    atheris.Setup(sys.argv, check_memory, custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
