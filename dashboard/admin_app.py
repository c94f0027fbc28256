"""The admin page: ``streamlit run dashboard/admin_app.py`` or ``python dashboard/admin_app.py``."""

from fedhealth.dashboards.admin import page
from fedhealth.dashboards.run import show_or_start

if __name__ == "__main__":
    show_or_start(page.main, __file__, "admin")
