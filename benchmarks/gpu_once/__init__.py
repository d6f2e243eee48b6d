"""All that a GPU alone can settle, in nine minutes: see __main__.py."""
