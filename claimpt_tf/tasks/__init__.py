"""A population, an index date and an outcome: YAML in, labelled examples out."""
