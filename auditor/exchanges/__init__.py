"""One connector and one venue file an exchange, named after its id. Nothing outside this package names an exchange."""
