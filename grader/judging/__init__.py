"""What is judged: a module of properties for each part of the homework, and the engine that holds them against a submission."""
