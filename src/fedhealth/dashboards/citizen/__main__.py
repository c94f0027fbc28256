"""``python -m fedhealth.dashboards.citizen``: the page, served by Streamlit."""

from fedhealth.dashboards.citizen import page
from fedhealth.dashboards.run import show_or_start

if __name__ == "__main__":
    show_or_start(page.main, __file__, "citizen")
