"""``python -m fedhealth.dashboards.admin``: the page, served by Streamlit."""

from fedhealth.dashboards.admin import page
from fedhealth.dashboards.run import show_or_start

if __name__ == "__main__":
    show_or_start(page.main, __file__, "admin")
