"""Rule files to Rule values: the closed predicate language, and the loader that reports every fault at once."""
