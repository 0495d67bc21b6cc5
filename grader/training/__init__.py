"""What every homework's training check shares: its plan, its link to the kernel's trainer, and checkpoints."""
