"""A trained model as others take it: a folder with weights, config, names, figures and a card; on the hub."""
