"""What a submission earns: the rubric, points from verdicts, and the result that says so."""
