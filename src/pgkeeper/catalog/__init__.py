"""The catalog: an index for speed, and the record of jobs. Nothing here steers anything, and its loss costs no backup."""
