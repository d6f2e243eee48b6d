"""model-index.yml and the tables that are made from it."""
