"""How labels besides yes and no are judged: one module a kind, named after it."""
