"""Other people's suites: their sets scored under their own definitions, and never ranked beside hedgefox's own."""
