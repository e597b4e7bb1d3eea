"""How the tables of a history came about, one revision a file. Alembic runs them."""
