"""One folder for each paper, with its tables, figures, claims and demonstrations."""
