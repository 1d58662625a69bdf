"""Labels from a language model behind an OpenAI-compatible endpoint: requests, answers kept for later, a budget."""
