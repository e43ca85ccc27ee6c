# Make the sources in FOLDER the installed application: sh application.sh FOLDER
. "$(dirname "$0")/begin.sh"
cd "$1"
python=$1/environment/bin/python

for each in hub profiles quota spawners templates ./*.py ./*.toml LICENSE; do
  readable "$each"
done
"$python" "$(dirname "$0")/application.py" "$1"
"$python" -m compileall -q --invalidation-mode unchecked-hash hub profiles quota spawners templates
"$python" -m hub.static.collect --modules node_modules --out build/static
readable build
