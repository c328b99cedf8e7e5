"""What property tests share: modules with state of every kind, and a comparer of all that a model reaches."""
