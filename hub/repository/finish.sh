# Make what was unpacked ready for everybody: sh finish.sh session|kernel NAME
set -eu
umask 022
kind=$1 name=$2
. "$(dirname "$0")/prefix.sh"

if [ "$kind" = kernel ]; then
  "$prefix/bin/python" -m ipykernel install --prefix /opt/panhub/environment --name "$name" --display-name "$name"
fi
# Byte code that is right whatever times the files get.
"$prefix/bin/python" -m compileall -q -j 0 --invalidation-mode unchecked-hash "$prefix" || true
find "$prefix" -xdev ! -type l \( -perm /022 -o ! -perm -444 -o -perm /111 ! -perm -111 \) -exec chmod a+rX,go-w {} +
