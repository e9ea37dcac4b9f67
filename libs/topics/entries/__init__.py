"""The catalog's entries, one file per subject."""
