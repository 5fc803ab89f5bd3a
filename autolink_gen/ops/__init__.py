"""Pure tensor operations: no device, file, global or logger."""
