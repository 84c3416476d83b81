"""One module per command; each names it ``command``, which takes the session and returns a view."""
