"""What every room needs to write text that a person reads."""
