"""Pairing, reading and drawing PDFs."""
