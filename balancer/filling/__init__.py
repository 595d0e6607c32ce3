"""From a plan to screened images."""
