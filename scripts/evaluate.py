#!/usr/bin/env python3
"""Measure a prepared model on a folder of labelled pictures, exactly as the service would see them.

    scripts/evaluate.py --data DIR --model catdog                cat.N.jpg and dog.N.jpg, or a folder a class
    scripts/evaluate.py --data ILSVRC2012_val --model vgg16      a folder a class, named by wnid or English name
    scripts/evaluate.py --data DIR --csv predictions.csv         every single answer

Runs itself with .venv/bin/python. The device, the precision and the decoder are the service's settings (VGG_DEVICE, …).
Exit status: 0 measured, 1 it cannot be done, 130 interrupted.
"""

from interpreter import enter

enter("app.training.evaluate", __doc__)
