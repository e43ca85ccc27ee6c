"""What do browsers load? Sources of styles and scripts, and `collect`, which gathers all files."""
