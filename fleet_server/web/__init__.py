"""The dashboard: one page, its style and a little script that asks the REST interface."""
