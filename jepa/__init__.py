"""The generalist: one set of weights trained on every domain of a run. A file that exports `build` is a model, found by its file
name beside those of surrogates/; the others are the parts it is made of. Importing this package loads nothing."""
