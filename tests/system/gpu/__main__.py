"""``python -m tests.system.gpu``: what ``scripts/check-gpu`` and its image run."""

import sys

from tests.system.gpu.command import main

if __name__ == "__main__":  # services and clients are processes that import this module
    sys.exit(main())
