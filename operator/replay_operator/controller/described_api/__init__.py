"""How the operator's HTTP APIs describe themselves: in OpenAPI for programs, and on a page for people."""
