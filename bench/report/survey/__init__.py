"""The page that says what became of every row of the survey, and what was published beside what was measured."""
