"""Claim-PT on TensorFlow: one transformer pre-trained on everybody's claims,
fine-tuned for a small population, served from raw codes.
"""

__version__ = "0.1.0"
