# Install Debian packages: sh debian.sh PACKAGE...
. "$(dirname "$0")/begin.sh"

# As in Debian's slim images, licences stay and manuals and translations do not. No daemon is started.
cat > /etc/dpkg/dpkg.cfg.d/panhub <<'CONFIG'
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/lintian/*
CONFIG
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d

apt-get update -qq -o Acquire::Languages=none
apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-unsafe-io "$@" > "$SCRATCH/log" 2>&1 ||
  { cat "$SCRATCH/log"; exit 1; }

# Everything runs without a way to become somebody else, so that no program needs to be able to.
find / -xdev -type f -perm /6000 -exec chmod ug-s {} +
tidy
