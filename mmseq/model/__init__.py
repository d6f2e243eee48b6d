"""From a config to its model: built, with its usual image size, or trained."""
