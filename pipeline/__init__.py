"""The TFX pipeline and its runners; no logic of its own."""
