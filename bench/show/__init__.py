"""What the functions of `import hedgefox as hf` give back: plain data that also read well, in a terminal and in a notebook.

verbs    the functions themselves: each calls the one of the command line and dresses what it found
table    rows of plain data with a text, an HTML table and a DataFrame: the one convention for all tables
things   a data set, a training, results, a comparison, a page: what has a folder or several tables
player   films to be played in a notebook's cell
charts   the report's charts as plotly figures
"""
