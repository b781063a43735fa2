#!/usr/bin/env python3
"""Classify photographs from the command line: the service's code without the HTTP.

    scripts/predict.py photo.jpg                                  the five most probable classes, in two languages
    scripts/predict.py photo.jpg --save out.png                   and a picture that shows where they were seen
    scripts/predict.py *.jpg --model catdog --evaluation dense    other models, other ways of looking
    scripts/predict.py photo.jpg --show-input given.png           what the network was really given

Device, precision and decoder are the service's settings (VGG_DEVICE, VGG_PRECISION, VGG_DECODE).
The pictures need a font with Chinese characters: scripts/install --extras embedded,pictures brings one.
Exit status: 0 done, 1 something could not be read or written, 130 interrupted.
"""

from interpreter import enter

enter("app.predicting.command", __doc__)
