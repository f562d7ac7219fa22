"""Claims that people make, judged by records: the page of verdicts."""
