"""The pages in the order of the work, one module each; the table is `desktop_app.ui.window.PAGES`."""
