"""From result records and the papers' numbers to tables, figures and pages. Knows no torch, trains nothing.

============= ================================================================================================
reported      the papers' own numbers, one line per number
words         names, percentages, differences and durations as sentences say them
verdicts      the one rule by which every claim is decided
accuracies    what an accuracy table holds
layouts       how tables look in HTML, LaTeX and Markdown: frames of texts, printed by pandas' Styler
statistics    which records count, means and deviations, paired differences
settings      the settings that belong to a number, and where a method is not the published one
tables        measured and reported numbers
style         the one look of every figure: fonts, palette, one colour and line per method
figures       curves, bars, histograms and image grids that any notebook can use
notebook      runs one notebook with checked parameters
html          turns a notebook into one page: nbconvert with the one template ``page.html.j2``
offline       what makes a page offline: it loads nothing and runs nothing
facts         what a page says of itself in a form that the front page reads
cards         the card of a report, read from the report
comparison    every measured accuracy against the reported one, as a sentence and as a picture
front         what the front page says of a profile
index         writes the front page, ``reports/index.html`` and ``reports/README.md``
overview      the picture and the table of the README
glossary      ten words that pages use, in ``reports/glossary.html``
============= ================================================================================================

Nothing is imported here, so that ``from dreamlib.companion.report import tables`` does not wait for matplotlib or
Jupyter.
"""
