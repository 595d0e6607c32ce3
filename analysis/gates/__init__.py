"""The gates, one a module: sound, label, copies (and new), batch."""
