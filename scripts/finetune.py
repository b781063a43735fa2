#!/usr/bin/env python3
"""Fine-tune a prepared model on a folder of labelled images. The service serves the result.

    scripts/finetune.py --data DIR                       cat.N.jpg and dog.N.jpg, or one folder per class
    scripts/finetune.py --data DIR --train classifier    more than the last layer, by gradient steps
    scripts/finetune.py --data DIR --resume              go on after an interruption
    torchrun --nproc-per-node 2 scripts/finetune.py …    on several GPUs or machines

Writes models/NAME/: the weights that differ from the base, the manifest, labels.csv, split.csv, seen.csv, excluded.csv,
predictions.csv, suspects.csv and report.html. Runs with .venv/bin/python, whichever Python it is called with.
Exit status: 0 done, 1 cannot be done, 130 interrupted (--resume goes on).
"""

from interpreter import enter

enter("app.training.finetune", __doc__)
