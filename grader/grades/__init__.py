"""Final grades: points of all kinds, penalties and lateness in one total, and files that other systems import."""
