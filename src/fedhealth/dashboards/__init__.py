"""Two Streamlit pages. They know the study, keys and the readers of exports, and speak HTTP to the API."""
