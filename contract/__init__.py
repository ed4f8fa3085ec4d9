"""What the four programs agree on: files, messages, REST bodies and states, without any other I/O than files."""
