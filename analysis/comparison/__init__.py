"""Did it help? A quick classifier with and without synthetic images, under equal conditions, on unseen patients."""
