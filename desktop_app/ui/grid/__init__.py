"""The image grid: a model that loads a page at a time, thumbnails decoded off the window's thread."""
