#!/usr/bin/env python3
"""Measure a prepared model on a folder of labelled images, read exactly as the service reads them.

    scripts/evaluate.py --data DIR --model catdog                cat.N.jpg and dog.N.jpg, or one folder per class
    scripts/evaluate.py --data ILSVRC2012_val --model vgg16      one folder per class, named by wnid or English label
    scripts/evaluate.py --data DIR --evaluation dense --scales 256,384,512    looked at more than once, as in the paper
    scripts/evaluate.py --data DIR --csv predictions.csv         with a file of every prediction

Device, precision and decoder are the service's settings (VGG_DEVICE, VGG_PRECISION, VGG_DECODE).
Runs with .venv/bin/python, whichever Python it is called with. Exit status: 0 done, 1 cannot be done, 130 interrupted.
"""

from interpreter import enter

enter("app.training.evaluate", __doc__)
