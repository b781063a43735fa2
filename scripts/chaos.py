#!/usr/bin/env python3
"""Do to the service what bad days do, then see that it is still right, still itself, and no larger.

    scripts/chaos.py            the full run, some minutes
    scripts/chaos.py --short    a quick one, inside scripts/test
    scripts/chaos.py --soak 15  minutes of mixed traffic: memory, file descriptors and threads must stay flat

Early disconnects, slow and broken uploads, huge and empty bodies, random bytes, truncated images of every format, a
network that fails on one marked image or hangs, SIGTERM under load, SIGKILL and a restart. Beside each fault good
requests are sent, and every one of their answers is checked. Exits with 0 when all held. Needs the extra `dev`.
"""

from interpreter import enter

enter("tests.system.chaos.command", __doc__)
