"""Where images and labels come from, and what is known of them."""
