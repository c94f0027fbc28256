"""What is stored and watched: readings, predictions, city figures, trends, alerts and drift."""
