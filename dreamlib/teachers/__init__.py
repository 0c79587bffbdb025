"""Teachers: under which weights images are matched."""
