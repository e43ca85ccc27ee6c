# Unpack guacd with its libraries, as pinned in hub/demo/guacd.lock: sh guacd.sh FOLDER
. "$(dirname "$0")/begin.sh"

export PYTHONDONTWRITEBYTECODE=1 PANHUB_CACHE="$SCRATCH/cache"
cd "$(dirname "$0")/../code"
root=$(/opt/panhub/environment/bin/python -m hub.demo.guacd)
mv "$root" "$1"
readable "$1"

# It is of another Debian than this image, so it starts by its own loader and with its own libraries.
cat > /usr/local/bin/guacd <<WRAPPER
#!/bin/sh
for loader in $1/lib64/ld-linux-x86-64.so.2 $1/lib/ld-linux-aarch64.so.1; do
  if [ -x "\$loader" ]; then
    libraries=\$(echo $1/usr/lib/*-linux-gnu)
    exec "\$loader" --library-path "\$libraries:$1/lib/\${libraries##*/}" $1/usr/sbin/guacd "\$@"
  fi
done
echo "guacd has no loader for this machine" >&2
exit 1
WRAPPER
chmod 755 /usr/local/bin/guacd
