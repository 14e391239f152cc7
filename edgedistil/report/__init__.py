"""Reports: what was measured, as a table, as Markdown, as JSON and as one page with a picture."""
