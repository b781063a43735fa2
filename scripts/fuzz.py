#!/usr/bin/env python3
"""Look for bytes and requests that nobody thought of.

    scripts/fuzz.py decode --seconds 600      atheris on decoding: no crash, no other error, bounded time and memory,
                                              and the same answer from the fast path and the exact one
    scripts/fuzz.py decode --reproduce FILE   one of its findings again
    scripts/fuzz.py decoders --seconds 300    damaged images through real decoder processes: none is lost, whatever
                                              becomes of a decoder; what ends one is kept
    scripts/fuzz.py http --seconds 300        schemathesis on a running service, from its own OpenAPI document

What they learn and find is kept in .fuzz/. Exit status: 0 nothing was found. Needs the extras `dev` and, but for
`decoders`, `fuzz`.
"""

from interpreter import enter

enter("tests.system.fuzzing.command", __doc__)
