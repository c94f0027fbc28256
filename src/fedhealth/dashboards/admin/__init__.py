"""The admin page: nine cities, alerts, trends, the federated run and drift."""
