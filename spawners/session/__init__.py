"""What runs inside a session, whatever the place.

``start.py``
    First process of a session: puts the planned files into the working folder, starts the
    notebook server, reports its port to the engine and stays as its parent. Standard library
    only; runs with the Python (3.10 or newer) of any environment.
``node.py``
    First process of a batch job: fetches what the session is, builds its data view as the person, runs
    ``start.py`` in it. Standard library only, with what it imports from here; Python 3.9 or newer.
``submit.sh``
    sbatch and salloc as a session on a node has them.
``machine``, ``view``, ``environment``, ``sessionlog``, ``children``
    What all places share: parts of a data view, the server's environment, its log.
``desktop.py``, ``desktopmenu.py``, ``desktopchild.py``, ``share/desktop/``
    A desktop beside the server: X server and window manager, its menu, how ``start.py`` starts it; what
    they read, and the file window.
``python/panhub_session/``
    Extension of the notebook server: tells the browser until when the session may run, and is the way of
    the tunnel to the desktop.
``share/jupyter/labextensions/panhub-time/``
    Extension of JupyterLab 4: shows the time left and warns. Prebuilt, so that no environment
    needs to contain it, and small enough to need no bundler.
``etc/jupyter/``
    Settings of server and JupyterLab: nothing is fetched from outside the site.

A backend shows this folder read-only at ``/opt/panhub/session`` and names its parts in
JUPYTER_PATH, JUPYTER_CONFIG_PATH and PYTHONPATH; a server extension cannot come by
JUPYTER_PATH, and PYTHONPATH is taken away again before any kernel starts.
"""
