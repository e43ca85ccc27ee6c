"""What do people see?

`views`, `sessionviews`, `startviews`, `placeviews` and `usageviews` say what each page shows, `format` how
values are written, `render` makes HTML of the templates in ``html/``, `state` reads the form, `routes`
names the handlers that fill the views; scripts and styles come from `hub.static`, the look of the hub's
own pages from ``hub_templates/``.
Nothing here decides: all verdicts, holds and refusals are the engine's.

Routes the pages expect, below the service's prefix. Every POST carries ``_xsrf`` (form field, or
``X-XSRFToken`` header from script, which sends it with its GETs too) and answers 303 to a page.
A refusal or fault answers its status with the page again (``refusal`` set) or ``problem.html``.

===========================================  =========================================================
Pages (GET)                                  template, context beside ``viewer`` and ``xsrf``
===========================================  =========================================================
``/`` ? q                                    home.html: ``home`` HomeView
``/new`` ? form state, from=<launch id>       new.html: ``form`` FormView
``/launch`` ? form state, return_url         launch.html: ``launch`` LaunchView
``/launches/{id}``                           progress.html: ``progress`` ProgressView
``/desktops/{desktop}`` ? screen             desktop.html: ``page`` DesktopPageView; the API tells the rest
``/invitations`` (token behind the ``#``)    invitation.html
``/data`` ? q                                data.html: ``data`` DataChoices
``/templates`` ? q                           templates.html: ``templates`` (TemplateView, …), ``query``
``/usage`` ? days, resource                  usage.html: ``usage`` UsageView
``/operate`` ? days, edit (operators)        operate.html: ``operate`` OperateView
``/sessions.csv`` ? q · ``/usage.csv`` ? days  CSV of the same rows, as ``/operate.csv``
``/static/{name}`` (nobody signed in)        files of ``build/static``; names with a hash never change
===========================================  =========================================================

Form state: ``input`` = ``<kind>:<ref>`` (repeatable; links may also say ``dataset``,
``investigation`` or ``doi``), ``template`` (``id@version``, ``auto``, ``none``), ``interface``,
``profile``, ``place`` (an id or ``soonest``), ``overflow`` (``true``: or where it starts sooner),
``size`` (an id or ``own``), ``cpus``, ``memory_gib``,
``gpus``, ``gpu_type`` (of an own size; they count with ``size=own`` or without a size), ``walltime_s`` or
``hours``, ``account``, ``qos``, ``reservation``, ``payer``, ``display_name``, ``p.<parameter>``; ``q``
searches data. All may be missing: the server fills in defaults. An empty ``input`` is no data.

===========================================  =========================================================
Fragments (GET, or POST that changes nothing)  template, context
===========================================  =========================================================
GET  ``/parts/sessions``                     parts/sessions.html: ``home`` (cards, notices)
GET  ``/parts/recent`` ? q                   parts/recent.html: ``home`` (recent, query)
GET  ``/parts/meters``                       parts/meters.html: ``meters``
GET  ``/parts/data`` ? q, input              parts/data_choices.html: ``data`` DataChoices
GET  ``/parts/form`` ? form state            parts/form.html: ``form`` FormView
GET  ``/parts/places`` ? form state          parts/places.html: ``places`` (PlaceCard, …), out of band
POST ``/parts/summary``  form state          parts/summary.html: ``summary`` Summary (the dry run), who pays
GET  ``/parts/launches/{id}``                parts/progress.html: ``progress`` ProgressView
GET  ``/parts/allocations/{key}``            parts/allocation.html: ``edit`` AllocationEdit
POST ``/parts/allocations/{key}``            the same with ``limit``, ``reason``: the preview
===========================================  =========================================================

===========================================  =========================================================
Changes (POST, 303)                          fields → where to
===========================================  =========================================================
``/launches``                                form state → ``/launches/{id}``; with ``update=1`` → ``/new?…``
``/launches/{id}/stop``                      (cancels a start, too) → ``next`` or ``/``
``/launches/{id}/extend``                    ``seconds`` → ``next`` or ``/``
``/launches/{id}/relaunch``                  → ``/launches/{new id}``
``/launches/{id}/dismiss``                   puts a notice away → ``/``
``/operate/allocations/{key}``               ``limit`` (hours, sessions or empty), ``reason`` → ``/operate``
===========================================  =========================================================

``next`` is one of ``home``, ``launch``, ``operate``: a name, never an address. A stop from within the
form says ``form``, and leads back to the form as it stands.

Event streams (GET, ``text/event-stream``). EventSource cannot send headers, so these two skip the
XSRF check; a page of another site cannot read them, and they change nothing.

``/events``: events ``sessions``, ``recent``, ``meters`` (any data): that fragment changed.
``/launches/{id}/events``: ``progress`` with ``id: <seq>`` and data ``{"seq", "at", "message"}``,
resumed after ``Last-Event-ID``; ``change`` (no data) when only the state changed; ``end`` when it
is over, after which the page does not connect again.
"""
