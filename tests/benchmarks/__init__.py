"""What is measured rather than tested: run by hand, or by `make bench`."""
