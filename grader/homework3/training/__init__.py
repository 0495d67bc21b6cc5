"""Training checks: the student's own models are trained in the kernel, and judged by answers that never enter it."""
