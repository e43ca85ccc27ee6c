# Bring a Python environment to the content of a lock: sh python.sh PREFIX SHA256 LOCK [LOCK...]
#
# SHA256 is the first lock's. Only what the prefix does not have yet is added, so that an image above
# another one is small.
. "$(dirname "$0")/begin.sh"
prefix=$1 sha256=$2
shift 2

echo "$sha256  $1" | sha256sum --check --quiet || { echo "LOCK_SHA256 is not that of $1" >&2; exit 1; }

python3 -m venv "$SCRATCH/installer"
"$SCRATCH/installer/bin/pip" install --quiet --no-cache-dir --disable-pip-version-check --no-compile \
  --require-hashes -r /tmp/requirements/bootstrap.lock
uv=$SCRATCH/installer/bin/uv

# Without a cache of the building site everything is fetched, and nothing is kept.
export UV_CACHE_DIR="${UV_CACHE_DIR:-$SCRATCH/cache}" UV_LINK_MODE=copy
# The files' times depend on how an image is made and unpacked; byte code that asks for none is always right.
export PYC_INVALIDATION_MODE=UNCHECKED_HASH
[ -x "$prefix/bin/python" ] || "$uv" venv --quiet --no-python-downloads --python /usr/bin/python3 "$prefix"
"$uv" pip sync --quiet --python "$prefix/bin/python" --require-hashes --compile-bytecode "$@"
readable "$prefix"
