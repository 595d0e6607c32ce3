"""Where labels come from: folders, tables, expressions over paths; each gives one `Reading`."""
