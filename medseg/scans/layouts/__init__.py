"""How a folder may be laid out: a function for each way, all of them tried by `table.read`."""
