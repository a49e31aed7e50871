"""Claims tables to patient records."""
