"""From a folder of pictures to a served model, and what a model is worth on one. The service never imports this."""
