# As python.sh, with a C++ compiler for as long as it takes: sh compiled.sh PREFIX SHA256 LOCK [LOCK...]
#
# For locks with a package that comes as source (fisx, of PyMca). What is installed for it leaves with it.
. "$(dirname "$0")/begin.sh"

installed() { dpkg-query -W -f '${binary:Package}\n' | sort; }

installed > "$SCRATCH/before"
sh "$(dirname "$0")/debian.sh" g++ python3-dev
sh "$(dirname "$0")/python.sh" "$@"
installed | comm -13 "$SCRATCH/before" - | xargs apt-get purge -y -qq > "$SCRATCH/log" 2>&1 ||
  { cat "$SCRATCH/log"; exit 1; }
tidy
