"""The API: ``uvicorn app.main:app`` or ``python app/main.py``."""

import logging

from fedhealth.serving import create_app, serve

app = create_app()
logging.getLogger("uvicorn.access").disabled = True  # its lines would hold people's pseudonyms

if __name__ == "__main__":
    serve(app=app)
