"""The page with the status of every row of the survey, and published next to measured figures."""
