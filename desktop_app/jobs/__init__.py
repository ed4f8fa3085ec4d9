"""Jobs: everything slow is a frozen request that runs in a child process and answers with events."""
