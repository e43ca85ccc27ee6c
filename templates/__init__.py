"""What does a notebook analyse? Templates, the data they fit, and the notebook made from both.

A *template* is a folder of `templates/library/` (or of a site): `template.yaml`, a notebook in
py:percent form and the functions it uses. `catalogue` loads them, `inspect` looks into data files,
`matching` says which template fits a data set and why, `parameters` fills in its parameters and
`render` makes the files that a session opens.
"""
