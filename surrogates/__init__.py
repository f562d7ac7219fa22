"""One file per specialist or baseline; the file name is the model's name."""
