"""The command line: options parsed, one function called, its result printed."""
