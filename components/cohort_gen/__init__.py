"""Patient records to the labelled examples of a task."""
