#!/usr/bin/env bash
# The layer rule and the owners of third-party headers, as a test (docs/ARCHITECTURE.md, layers).
# A folder may include headers of itself and of the folders before it in this list only.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
layers=(base auth vfs s3api gateway)
bad=0
complain() { echo "$1" >&2; bad=1; }

for i in "${!layers[@]}"; do
    for j in "${!layers[@]}"; do
        [ "$j" -le "$i" ] && continue
        hits=$(grep -rnE "^#include \"${layers[j]}/" --include='*.[ch]' "${layers[i]}")
        [ -z "$hits" ] || complain "${layers[i]}/ includes ${layers[j]}/, which is above it:"$'\n'"$hits"
    done
done
# Within s3api, operations do not know each other; the gateway knows the engine's public face only.
hits=$(grep -nE '^#include "s3api/op_[a-z_]+\.h"' s3api/op_*.c | grep -vE 'op_handlers\.h|op_internal')
[ -z "$hits" ] || complain "operations include each other:"$'\n'"$hits"
hits=$(grep -rnE '^#include "s3api/' --include='*.[ch]' gateway | grep -v '"s3api/s3.h"')
[ -z "$hits" ] || complain "gateway/ includes more of s3api/ than s3.h:"$'\n'"$hits"
hits=$(grep -rnE '^#include "vfs/' --include='*.[ch]' gateway s3api | grep -vE '^gateway/cmd_[a-z]+\.c:.*"vfs/jfs/admin\.h"|"vfs/(vfs|cache_options|fuse/(fuse|device|unsaved))\.h"|^gateway/fetch\.c:.*"vfs/store/http\.h"')
[ -z "$hits" ] || complain "a volume's inside is included from above:"$'\n'"$hits"

# owner <header pattern> <files that may include it>
owner() {
    hits=$(grep -rnE "^#include <($1)" --include='*.[ch]' "${layers[@]}" | grep -vE "^($2):")
    [ -z "$hits" ] || complain "third-party header outside its owner ($2):"$'\n'"$hits"
}
owner 'h2o' 'gateway/(loop|sock|listener|http_parse|h2o_shim)\.[ch]'
owner 'picohttpparser' 'gateway/http_parse\.c'
owner 'libxml' 'base/xml\.c'
owner 'openssl' '(base/(digest|public_key|secretbox)|vfs/data/cipher|gateway/(tls|sock|listener))\.c'
owner 'sqlite3' '(auth/store|vfs/dir/sidecar|vfs/meta/sqlite_db)\.c'
owner 'isa-l|crc\.h' 'base/digest_crc\.c'
owner 'curl' 'vfs/store/http\.c'
owner 'lz4|zstd' 'vfs/data/compress\.c'
owner 'jansson' 'base/json\.c'
owner 'fuse' 'vfs/fuse/[a-z_]+\.[ch]'
owner 'ini\.h' 'gateway/config\.c'
hits=$(grep -rnE '^#include <assert\.h>' --include='*.[ch]' "${layers[@]}")
[ -z "$hits" ] || complain "assert.h disappears in release builds; use base/check.h:"$'\n'"$hits"

[ "$bad" = 0 ] && echo "layers hold"
exit "$bad"
