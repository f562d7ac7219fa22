"""Players: films side by side in a browser page, and as pictures.

film    films of one scene → the plain data of a player
page    that data → one HTML page that needs no server and no network; its parts, for pages that hold several players
images  the same data → PNG, GIF, MP4
packing a player's data as few bytes, and back
pick    which scene of a split to show, by rule
run     a finished run's folder → the films of truth and contestants
stored  the films that a run keeps of itself
"""
