"""LastServed: the model that a candidate must not be worse than."""
