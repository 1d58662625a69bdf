"""The crawl against what users write themselves with Scrapy."""
