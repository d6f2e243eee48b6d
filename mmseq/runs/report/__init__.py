"""One page about one or several runs, with everything in it."""
