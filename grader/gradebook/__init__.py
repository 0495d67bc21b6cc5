"""What people decide about a class: an append-only log in ``CLASS/gradebook.sqlite``, and what follows from it."""
