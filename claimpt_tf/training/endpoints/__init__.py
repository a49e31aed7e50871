"""What labels are besides yes and no: one module a kind of label, named after it."""
