"""The API: ``uvicorn app.main:app`` or ``python app/main.py``."""

from fedhealth.serving import create_app, serve

app = create_app()

if __name__ == "__main__":
    serve(app=app)
