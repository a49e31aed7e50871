"""What a claim is: the canonical event table, its readers, and the simulator."""
