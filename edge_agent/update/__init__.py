"""Updates on the device: the rules as one table, the journal, the slots and the work of each state."""
