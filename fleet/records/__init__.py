"""Records: the one JSON codec of the contracts' values, and the hash chain over what was written."""
