#!/usr/bin/env python3
"""Fine-tune a prepared model on a folder of pictures, and leave a model that the service serves.

    scripts/finetune.py --data DIR                         cat.N.jpg and dog.N.jpg, or a folder a class
    scripts/finetune.py --data DIR --train head            only the last layer: an export of tens of kilobytes
    scripts/finetune.py --data DIR --resume                go on after an interruption
    torchrun --nproc-per-node 2 scripts/finetune.py …      several GPUs or machines

Writes models/catdog/ (weights that differ from the base, manifest, labels.csv, split.csv, metrics.csv, report.html).
Runs itself with .venv/bin/python. Exit status: 0 done, 1 it cannot be done, 130 interrupted (--resume goes on).
"""

from interpreter import enter

enter("app.training.finetune", __doc__)
