"""Where a model artifact keeps what is not served."""

from __future__ import annotations

import os

KERAS_FOLDER = "Format-Keras"  # beside Format-Serving, reachable, never pushed


def keras_folder(serving_model_dir: str) -> str:
    """The folder of the Keras artefacts and scores beside a SavedModel.

    >>> keras_folder("artifacts/Finetuner/model/9/Format-Serving/")
    'artifacts/Finetuner/model/9/Format-Keras'
    """
    return os.path.join(os.path.dirname(serving_model_dir.rstrip("/")), KERAS_FOLDER)
