"""Where an application's predictions go; `table` lists the kinds."""
