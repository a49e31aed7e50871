"""A simulated pediatric Medicaid population with known true risks."""
