"""How properties are judged: the engine that holds them against a submission, what they compare with, budgets, shrinking."""
