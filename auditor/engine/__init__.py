"""Evidence and rules in, outcomes and scores out. Pure: the same input gives the same output, and `now` is an input."""
