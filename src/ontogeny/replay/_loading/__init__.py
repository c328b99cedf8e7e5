"""From a checkpoint's files to a model: which files, whose keys, which types; or a name for what is wrong."""
