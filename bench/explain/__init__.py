"""A figure of the board traced back to its formula, records and samples."""
