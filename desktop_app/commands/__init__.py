"""The studio's verbs, one module each with its `command`; the table is `desktop_app.cli.VERBS`."""
