"""Desktops in the browser: the tunnel between browsers, guacd and sessions.

`panhub desktop` is a process of its own. It decides nothing: the engine (`hub.sharing`) says who may
see what and in which role; the tunnel carries that out instruction by instruction.
"""
