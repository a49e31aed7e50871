"""TFX components: thin specs and executors around claimpt_tf."""
