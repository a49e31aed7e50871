"""Public and simulated claims as tensorflow-datasets; importing this registers them.

A room of its own because it looks at the library from outside: it may use readers and
visits, nothing in the library uses it, and only it needs tensorflow-datasets.

    import claimpt_tf.datasets
    import tensorflow_datasets as tfds

    visits = tfds.load("claim_visits/simulated", split="train")
"""

from claimpt_tf.datasets.claim_visits import ClaimVisits, ClaimVisitsConfig

__all__ = ["ClaimVisits", "ClaimVisitsConfig"]
