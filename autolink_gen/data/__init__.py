"""Images, annotations and videos: how they are found, read and checked."""
