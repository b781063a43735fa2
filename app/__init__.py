"""A photograph comes in over HTTP, labels in English and Chinese go out.

Read the folders as one arrow: http -> admission -> image (decode, preprocess) -> batcher -> model -> labels -> http.
"""
