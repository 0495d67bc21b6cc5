"""Reading and writing files, whoever they belong to."""
