# Unpack guacd with its libraries, as pinned in hub/demo/guacd.lock: sh guacd.sh FOLDER
. "$(dirname "$0")/begin.sh"

# What apt names of its mirrors is what it has fetched the lists of, and the image keeps none.
apt-get update -qq -o Acquire::Languages=none

export PYTHONDONTWRITEBYTECODE=1 PANHUB_CACHE="$SCRATCH/cache"
cd "$(dirname "$0")/../code"
root=$(/opt/panhub/environment/bin/python -m hub.demo.guacd)
mv "$root" "$1"
rm -rf /var/lib/apt/lists/* /var/cache/apt/*
readable "$1"

# It is of another Debian than this image, so it starts by its own loader and with its own libraries.
libraries=$(echo "$1"/usr/lib/*-linux-gnu)
name=${libraries##*/}
loader=$(echo "$1/lib/$name"/ld-[0-9]*.so)
[ -x "$loader" ]
cat > /usr/local/bin/guacd <<WRAPPER
#!/bin/sh
exec $loader --library-path $libraries:$libraries/pulseaudio:$1/lib/$name $1/usr/sbin/guacd "\$@"
WRAPPER
chmod 755 /usr/local/bin/guacd
