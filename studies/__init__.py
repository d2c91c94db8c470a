"""Studies: each a command that trains, tests and writes its table. Run from the checkout's top."""
