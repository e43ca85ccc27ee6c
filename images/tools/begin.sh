# Sourced by the scripts beside it: a folder for what does not stay, and where packages come from.
#
# The build secret "sources" is a shell fragment of the building site (see images/README.md): it sets
# variables of apt, pip, uv and npm, and may write files into $SCRATCH. Without it the defaults of these
# programs hold. Nothing of it is in the image.
set -eu
umask 022
SCRATCH=$(mktemp -d)
export SCRATCH DEBIAN_FRONTEND=noninteractive
trap 'rm -rf "$SCRATCH"' EXIT
if [ -f /run/secrets/sources ]; then
  set -a
  . /run/secrets/sources
  set +a
fi

# Let everybody read a folder and nobody but root write to it. Only what is otherwise is touched, since a
# touched file of the image below is copied into this one.
readable() {
  find "$1" -xdev ! -type l \( -perm /022 -o ! -perm -444 -o -perm /111 ! -perm -111 \) \
    -exec chmod a+rX,go-w {} +
}

# Take away what apt and dpkg leave behind.
tidy() {
  find /var/log /var/cache -xdev -type f -delete
  rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/lib/dpkg/*-old
}
