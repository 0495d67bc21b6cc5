"""Builds the package with which students check their notebook: public properties and nothing that gives an answer away."""
