"""The verbs of the command line, a file a group: each adds itself to the parser, and answers."""
