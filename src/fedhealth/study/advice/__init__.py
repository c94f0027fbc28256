"""What is told to a person: safety rules, advice for the air, risks as counts, other groups. Needs no model."""
