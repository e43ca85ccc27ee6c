"""A look from a node: a tiny job that checks what a session needs there, and says it by its exit code.

The exit code is the one thing that every cluster brings back, without a shared file system and
without an address at which the node reaches us, which is what is in question. `node` runs there,
`job` makes the job, `verdict` reads the code.
"""
