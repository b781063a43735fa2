#!/usr/bin/env python3
"""Show what a VGG is made of: its layers, what they cost, and what each of them sees.

    scripts/inspect_model.py                             VGG16: net D of the paper
    scripts/inspect_model.py vgg16_c --batch-size 32     any VGG, or a prepared model by its name
    scripts/inspect_model.py vgg19 --svg nets.svg        drawn among the others, as in the paper's table 1
    scripts/inspect_model.py --json > vgg16.json         or --csv

Everything is computed from the network; no weights are needed. Exit status: 0 done, 1 cannot be done.
"""

from interpreter import enter

enter("app.inspecting.command", __doc__)
