"""Input pipeline, objectives, pre-training and fine-tuning."""
