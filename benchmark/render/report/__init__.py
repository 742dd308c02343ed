"""The report: one HTML file with every table, model, demonstration and figure that is stored."""
