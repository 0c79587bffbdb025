"""The companion of the papers: it runs their studies and prints them. Nothing outside this folder knows of it."""
