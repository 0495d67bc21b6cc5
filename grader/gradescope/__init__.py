"""The Gradescope container: building its zip, running in it, and telling the platform what was found."""
