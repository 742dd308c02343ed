"""Render results for users: text, Markdown, LaTeX, figures, movies and reports."""
