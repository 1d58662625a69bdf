"""Near-duplicate removal against its peers on real documentation with planted duplicates; see ``__main__``."""
