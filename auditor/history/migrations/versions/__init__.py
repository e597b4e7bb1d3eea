"""The revisions, named by the number that `tables.REVISIONS` lists."""
