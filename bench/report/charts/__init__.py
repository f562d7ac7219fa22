"""The report's charts, a file a family: from records to what plotly.js draws, and no drawing here."""
