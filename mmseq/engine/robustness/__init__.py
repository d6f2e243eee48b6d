"""One model evaluated on changed images and with further metrics."""
