"""Run functions of the TFX Trainer: pre-training and fine-tuning."""
