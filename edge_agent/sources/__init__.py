"""Where an application's samples come from; `table` lists the kinds."""
