"""The judge's side of the kernel process: start it, run cells in it, and talk to its agent."""
