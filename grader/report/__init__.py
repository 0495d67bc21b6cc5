"""The result for people. Importing the package is cheap: each format is a module of its own."""
