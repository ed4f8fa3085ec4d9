"""The studio's window: everything that imports Qt, and nothing that opens a file, a database or a socket in a page."""
