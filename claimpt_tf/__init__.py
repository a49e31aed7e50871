"""Claim-PT on TensorFlow: one transformer pre-trained on everybody's claims,
fine-tuned for a small population, served from raw codes.
"""

import os

__version__ = "0.1.0"

# The oneDNN within TensorFlow writes past its memory in AVX-512 kernels on some
# processors ("corrupted size vs. prev_size", oneDNN's issue 4845 is alike).
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")
