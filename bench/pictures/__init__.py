"""Pictures for pages: drawn by matplotlib on a white card, from records, recorded weights and the simulators' own checks.

    records under a folder ─► cost.py, over_time.py, films.py ─► SVG and GIF        hedgefox pictures
    rows of validate ─► physics.py ─► SVG, and the table of a domain's page          hedgefox validate --plots --into
    imports of this package ─► architecture.py ─► SVG                                hedgefox pictures

The same input gives the same bytes with the same matplotlib. Nothing in a picture was typed in.
"""
