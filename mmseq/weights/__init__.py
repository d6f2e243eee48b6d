"""Commands over checkpoints: convert, average, publish; each written file is checked against its source."""
