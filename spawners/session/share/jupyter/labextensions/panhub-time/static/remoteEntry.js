/*
 * Time left of a session, in the top bar of JupyterLab 4, with warnings before the end.
 *
 * Written as a module federation container by hand (https://webpack.js.org/concepts/module-federation):
 * `init` is given JupyterLab's shared modules, `get` returns the factory of the extension. So it
 * needs no bundler and no copy of any library.
 */
(function () {
  'use strict';

  const NAME = 'panhub-time';
  const ASK_EVERY_MS = 20000;
  const SHOW_EVERY_MS = 1000;

  const STYLE = `
    .panhub-time { display: flex; align-items: center; padding: 0 12px; gap: 6px;
      color: var(--jp-ui-font-color1); font-size: var(--jp-ui-font-size1); }
    .panhub-time a { color: inherit; text-decoration: none; padding: 1px 8px; border-radius: 9px;
      border: 1px solid var(--jp-border-color1); font-variant-numeric: tabular-nums; white-space: nowrap; }
    .panhub-time a:hover, .panhub-time a:focus-visible { background: var(--jp-layout-color2); }
    .panhub-time[data-level='soon'] a { border-color: var(--jp-warn-color1); background: var(--jp-warn-color3);
      color: var(--jp-ui-font-color1); font-weight: 600; }
    .panhub-time[data-level='last'] a { border-color: var(--jp-error-color1); background: var(--jp-error-color1);
      color: var(--jp-ui-inverse-font-color1); font-weight: 600; }
    [data-jp-theme-light='false'] .panhub-time[data-level='soon'] a { background: transparent;
      color: var(--jp-warn-color1); }`;

  let shared = null;

  /** Module that JupyterLab shares: the loaded version if there is one, else any. */
  async function load(name) {
    const versions = Object.values((shared && shared[name]) || {});
    const found = versions.find(version => version.loaded) || versions[0];
    if (!found) {
      throw new Error(`${NAME}: JupyterLab does not share ${name}`);
    }
    return (await found.get())();
  }

  /** “3 h 05 min”, “12 min”, “45 s”. */
  function inWords(seconds) {
    const left = Math.max(0, Math.floor(seconds));
    const minutes = Math.floor(left / 60);
    if (minutes >= 60) {
      return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
    }
    return minutes > 0 ? `${minutes} min` : `${left} s`;
  }

  /** Seconds left of what the server said, by its own clock. */
  function secondsLeft(answer) {
    return answer.deadline - answer.now - (performance.now() - answer.receivedAt) / 1000;
  }

  /** Link with the time left, for the top bar. */
  function makeBadge(Widget) {
    const style = document.createElement('style');
    style.textContent = STYLE;
    document.head.appendChild(style);
    const link = document.createElement('a');
    link.target = '_blank';
    link.rel = 'noopener';
    const badge = new Widget();
    badge.id = 'panhub-time';
    badge.addClass('panhub-time');
    badge.node.appendChild(link);
    badge.hide();
    return {
      widget: badge,
      show(answer) {
        const left = secondsLeft(answer);
        const warn = answer.warn_before;
        const level = left <= warn[warn.length - 1] ? 'last' : left <= warn[0] ? 'soon' : 'calm';
        badge.node.dataset.level = level;
        link.href = answer.sessions_url;
        link.textContent = `${inWords(left)} left`;
        link.title = `This session ends at ${new Date(Date.now() + left * 1000).toLocaleTimeString()}. `
          + 'Open your sessions to extend it.';
        link.setAttribute('aria-label', `${inWords(left)} left in this session; open your sessions`);
        badge.show();
      }
    };
  }

  /** Warns once at each limit; again after an extension. */
  function makeWarner(Notification, openSessions) {
    let warnedAt = Infinity;
    let shown = null;
    return answer => {
      const left = secondsLeft(answer);
      const passed = answer.warn_before.filter(limit => left <= limit);
      const limit = passed.length ? Math.min(...passed) : Infinity;
      if (limit > warnedAt && shown !== null) {
        Notification.dismiss(shown);
        shown = null;
      }
      if (limit < warnedAt && left > 0) {
        if (shown !== null) {
          Notification.dismiss(shown);
        }
        shown = Notification.warning(
          `This session ends in ${inWords(left)}. Save your work, or extend the session.`,
          { autoClose: false, actions: [{ label: 'Your sessions', callback: openSessions }] }
        );
      }
      warnedAt = limit;
    };
  }

  /** Warns while nobody uses the session, until somebody does. */
  function makeIdleWarner(Notification, use) {
    let warnedOf = null;
    let shown = null;
    return answer => {
      const ends = answer.idle_ends_at ?? null;
      if (ends === warnedOf) {
        return;
      }
      if (shown !== null) {
        Notification.dismiss(shown);
        shown = null;
      }
      warnedOf = ends;
      if (ends !== null) {
        const left = ends - answer.now;
        const at = new Date(Date.now() + left * 1000).toLocaleTimeString();
        shown = Notification.warning(
          `Nobody uses this session: it ends at ${at} unless somebody does. Saved files are kept.`,
          { autoClose: false, actions: [{ label: 'I am here', callback: use }] }
        );
      }
    };
  }

  /** Whether keys, mouse or touch were used since it was last asked. */
  function watchInput() {
    let wasUsed = false;
    for (const kind of ['keydown', 'pointerdown', 'wheel']) {
      document.addEventListener(kind, () => { wasUsed = true; }, { capture: true, passive: true });
    }
    return () => {
      const answer = wasUsed;
      wasUsed = false;
      return answer;
    };
  }

  async function makePlugin() {
    const [widgets, apputils, services, coreutils] = await Promise.all(
      ['@lumino/widgets', '@jupyterlab/apputils', '@jupyterlab/services', '@jupyterlab/coreutils'].map(load)
    );

    function activate(app) {
      const settings = app.serviceManager.serverSettings;
      const url = coreutils.URLExt.join(settings.baseUrl, 'panhub', 'time');
      const badge = makeBadge(widgets.Widget);
      let answer = null;
      const warn = makeWarner(apputils.Notification, () => {
        window.open(answer.sessions_url, '_blank', 'noopener');
      });

      const takeInput = watchInput();
      const warnIdle = makeIdleWarner(apputils.Notification, () => void ask(true).then(show));

      async function ask(isUsed) {
        try {
          // Only a POST counts as use: a tab that is open does not.
          const method = isUsed ? 'POST' : 'GET';
          const response = await services.ServerConnection.makeRequest(url, { method }, settings);
          if (response.ok) {
            const found = await response.json();
            if (found.deadline !== null) {
              answer = { ...found, receivedAt: performance.now() };
            }
          }
        } catch (error) {
          console.debug(`${NAME}: no answer`, error); // the server is busy or ending: ask again later
        }
      }

      function show() {
        if (answer !== null) {
          badge.show(answer);
          warn(answer);
          warnIdle(answer);
        }
      }

      app.shell.add(badge.widget, 'top', { rank: 900 });
      const askAndShow = () => void ask(takeInput()).then(show);
      void app.restored.then(askAndShow);
      setInterval(askAndShow, ASK_EVERY_MS);
      setInterval(show, SHOW_EVERY_MS);
    }

    return {
      id: `${NAME}:plugin`,
      description: 'Shows the time left of the session and warns before its end.',
      autoStart: true,
      activate
    };
  }

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB[NAME] = {
    init(scope) {
      shared = scope;
    },
    async get(module) {
      if (module !== './extension') {
        throw new Error(`${NAME} has no module ${module}`);
      }
      const plugin = await makePlugin();
      return () => ({ __esModule: true, default: plugin });
    }
  };
})();
