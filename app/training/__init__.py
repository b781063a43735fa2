"""From a folder of images to a served model, and what a model is worth on one. The service never imports this."""
