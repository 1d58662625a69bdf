"""The contestants, each a process of its own: ``crawl(url, destination)`` visits a site and writes its texts."""
