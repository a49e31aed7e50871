"""Claim-PT on TensorFlow: one transformer pre-trained on everybody's claims,
fine-tuned for a small population, served from raw codes.
"""

from claimpt_tf.processor import spare_onednn

__version__ = "0.1.0"

spare_onednn()
