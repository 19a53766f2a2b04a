"""The verbs: one file for each command, used by the command line and by `mobilenets.__all__` alike.

Parts that are slow to import are imported by the verb that needs them: torch only by training and by the comparisons of
`export`.
"""
