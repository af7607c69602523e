"""What a viewer knows: follows a sweep's folder, and asks its runner by dropping commands."""
