"""The verbs of the command line, one file each, each with a click command named ``command``."""
