"""One module a public data set, each behind a name of the registry."""
