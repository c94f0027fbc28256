"""Two Streamlit pages. They know the study and speak HTTP to the API; nothing else of FedHealth is imported here."""
