"""What ``scripts/finetune.py`` and ``scripts/evaluate.py`` are made of: from a folder of pictures to a served model."""
