"""Code systems: normalise, validate, group into categories, describe."""
