#!/usr/bin/env python3
"""Measure the service over HTTP, side by side with what it is compared to: on a shared, noisy machine only ratios hold.

    scripts/benchmark.py network --model vgg16       real arithmetic: the service beside the bare network's loop
    scripts/benchmark.py service                     a simulated network: what the service itself costs
    scripts/benchmark.py service --against litserve  the same, beside another server with the same network
    scripts/benchmark.py overload                    three times more requests than the network can answer
    scripts/benchmark.py overload --against mosec    three times more than each server can answer, with a fast network
    scripts/benchmark.py large --model vgg16         photographs of 12 megapixels: the fast path beside the plain loop
    scripts/benchmark.py profiles                    what a colour profile costs a photograph
    scripts/benchmark.py engines --model vgg16       who computes the convolutions on a CPU: time, memory, answers
    scripts/benchmark.py views --model vgg16         single requests beside one of 150 views: how long they wait
    scripts/benchmark.py evaluations --data DIR      more views beside a single crop: right answers, time
    scripts/benchmark.py precision --model vgg16     lower precisions beside fp32 and plain eager: speed, answers

It starts the servers itself, with the settings in the environment, and checks every answer. Needs the extras `dev` and
`benchmark` (scripts/install --extras embedded,dev,benchmark); mosec and Triton come with scripts/install-peers.
"""

from interpreter import enter

enter("tests.system.load.command", __doc__)
