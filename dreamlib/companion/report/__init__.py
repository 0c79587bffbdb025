"""From result records and the papers' numbers to tables, figures and pages. Knows no torch, trains nothing.

============= ================================================================================================
reported      the papers' own numbers, one line per number
words         names, percentages, differences and durations as sentences say them
verdicts      the one rule by which every claim is decided
accuracies    what an accuracy table holds
layouts       how it looks in Markdown, LaTeX and HTML
tables        measured beside reported: accuracy, settings, paired differences
ablation      variants of a method, each judged by several networks
architectures accuracies by the network that judges
budgets       what stored images (IPC) and drawn ones (INPC) cost, and whether two places can be compared
ranking       rankings of architectures by a proxy
streams       class-incremental learning, by step and class order
speed         ratios of the engine, and what its modes change
style         the one look of every figure: fonts, palette, one colour and line per method
figures       curves, bars, histograms and image grids that any notebook can use
diagrams      networks as boxes and arrows
notebook      runs one notebook with checked parameters
html          turns a notebook into one offline page, and lists all pages in ``reports/index.html``
============= ================================================================================================

Nothing is imported here, so that ``from dreamlib.companion.report import tables`` does not wait for matplotlib or
Jupyter.
"""
