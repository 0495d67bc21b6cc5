"""What an instructor changes: notebooks built from the reference, and whether all that states the homework agrees."""
