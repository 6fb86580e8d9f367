"""The web page and the REST API: `bovw serve`."""
