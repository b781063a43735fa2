#!/usr/bin/env python3
"""Put the service through its bad days, then check that its answers are still right and that it has not grown.

    scripts/chaos.py              the full run: some minutes
    scripts/chaos.py --short      a quick one, inside scripts/test
    scripts/chaos.py --soak 15    minutes of mixed traffic: memory, file descriptors and threads must stay flat
    scripts/chaos.py --attacks 5  minutes of small files that cost much, at half of what the machine can do

Early disconnects, slow and broken uploads, huge and empty bodies, random bytes, truncated images of every format, a
network that fails on one marked image or hangs, SIGTERM under load, SIGKILL and a restart; and floods: trailers, chunk
extensions, headers, pipelined requests and bodies without end, half-open connections beyond what the service can hold,
slow heads and readers, foreign hosts, models loaded in parallel. Good requests are sent all the while, and every answer
to them is checked. A table shows each flood with their p99 beside it and against a quiet one, how long /livez took at
worst, and memory. Decoders and the process that makes them are killed and stopped: a table shows who lost what.

With --attacks each file of tests/system/attacks is sent with deadlines from 0.1 s to none, and decoders are made to
crash, hang and run out of memory. Good requests beside it must keep 0.45 of their rate, and their p99 below three times
the quiet one; memory must stay inside the documented bound. A table shows what became of each file.

Exit status: 0 everything held, 1 something did not. Needs the extra `dev`.
"""

from interpreter import enter

enter("tests.system.chaos.command", __doc__)
