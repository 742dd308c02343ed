"""What people see: text, Markdown, LaTeX, figures, movies, reports."""
