"""One folder for each text: its tables, figures, claims and demonstrations."""
