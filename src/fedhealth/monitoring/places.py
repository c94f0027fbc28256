"""Where the cities lie, in degrees north and east."""

PLACES = {
    "Karachi": (24.86, 67.01),
    "Lahore": (31.55, 74.34),
    "Islamabad": (33.68, 73.05),
    "Quetta": (30.18, 67.00),
    "Peshawar": (34.01, 71.58),
    "Multan": (30.20, 71.45),
    "Faisalabad": (31.42, 73.08),
    "Rawalpindi": (33.60, 73.04),
    "Hyderabad": (25.37, 68.37),
}
