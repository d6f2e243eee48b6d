"""The web page that predicts an uploaded image."""
