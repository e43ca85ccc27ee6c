# Fetch and unpack what a lock says: sh install.sh session|kernel NAME SHA256 ONLY_BINARY
#
# session: into the folder in which sessions run. kernel: into one of its own, for notebooks, beside the
# server of the image below. The build secret "sources" is a shell fragment that says where packages come
# from, and may write files into $SCRATCH; nothing of it stays. So nothing of the packages runs here: they
# are a repository's, and the secret is the building site's.
set -eu
umask 022
kind=$1 name=$2 sha256=$3 only_binary=$4
context=$(dirname "$0")
. "$context/prefix.sh"
SCRATCH=$(mktemp -d)
export SCRATCH DEBIAN_FRONTEND=noninteractive
trap 'rm -rf "$SCRATCH"' EXIT
if [ -f /run/secrets/sources ]; then
  set -a
  . /run/secrets/sources
  set +a
fi

echo "$sha256  $context/requirements.lock" | sha256sum --check --quiet
if [ -s "$context/debian.txt" ]; then
  apt-get update -qq -o Acquire::Languages=none
  xargs apt-get install -y -qq --no-install-recommends < "$context/debian.txt"
  find / -xdev -type f -perm /6000 -exec chmod ug-s {} +
  find /var/log /var/cache -xdev -type f -delete
  rm -rf /var/lib/apt/lists/* /var/lib/dpkg/*-old
fi

/usr/bin/python3 -m venv "$prefix"
"$prefix/bin/pip" install --quiet --no-cache-dir --disable-pip-version-check --no-compile --require-hashes \
  --only-binary "$only_binary" -r "$context/requirements.lock"
