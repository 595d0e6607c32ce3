"""X-ray files to grey arrays and back."""
