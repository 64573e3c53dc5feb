"""Pages and figures on evaluated runs."""
