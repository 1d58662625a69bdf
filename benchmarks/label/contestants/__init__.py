"""Those that label the same texts with the same model, each in a process of its own."""
