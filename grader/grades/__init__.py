"""Final grades: automatic, training and manual points, penalties and lateness in one total, and files that other systems import."""
