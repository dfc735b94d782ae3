"""What is asked of a gradient: losses, conventions, clipping."""
