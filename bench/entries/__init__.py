"""Models from a user's disk: loaded, checked, held to be honest."""
