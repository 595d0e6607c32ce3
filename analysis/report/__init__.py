"""One self-contained page that shows what is known of a balanced collection, the verdict first."""
