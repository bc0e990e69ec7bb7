"""A check for continuous integration: two revisions, built apart, measured together, judged against a limit."""
