"""`python -m claimpt_tf` is `claimpt`."""

from claimpt_tf.cli import main

main()
