"""The report: one HTML file with every stored table, model, demonstration and figure."""
