#!/usr/bin/env bash
# What can be said of the image and the unit without a container engine: the build stage installs what tools/install-deps does,
# the run-time stage has the package of every library that the binary names, the unit is one that systemd accepts, and
# docs/cli.md knows every option of `sluice serve` and `sluice mount`.
#   tests/packaging.sh PATH-TO-SLUICE
set -u
sluice=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
bad=0
complain() { echo "$1" >&2; bad=1; }

stage() { sed -n "/^FROM debian:12-slim$2\$/,/rm -rf/p" "$1"; }
build_stage=$(stage docker/Dockerfile ' AS build')
run_stage=$(sed '1,/^COPY \. /d' docker/Dockerfile | sed -n '/apt-get/,/rm -rf/p')

wanted=$(bash -c "$(sed -n '/^build=(/,/)$/p' tools/install-deps); printf '%s\n' \"\${build[@]}\"")
for package in $wanted; do
    case $package in git | ca-certificates) continue ;; esac
    grep -qw -- "$package" <<<"$build_stage" || complain "docker/Dockerfile: the build stage lacks $package"
done

for library in $(readelf -d "$sluice" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
    path=$(ldconfig -p | awk -v name="$library" '$1 == name { print $NF; exit }')
    package=$(dpkg -S "$(realpath "$path")" 2>/dev/null | head -1 | cut -d: -f1)
    case $package in '' | libc6 | libasan* | libubsan* | libtsan* | libgcc*) continue ;; esac
    grep -qw -- "$package" <<<"$run_stage" || complain "docker/Dockerfile: the image lacks $package ($library)"
done

if command -v systemd-analyze >/dev/null; then
    units=$(mktemp -d)
    for name in sluice.service sluice-mount@.service; do
        grep -q '^ExecStart=/usr/local/bin/sluice ' "docker/$name" || complain "docker/$name: not where the README installs the binary"
        # The binary and the user are there only where it is installed.
        sed -e "s|/usr/local/bin/sluice|$sluice|" -e 's/^User=.*/User=root/' -e 's/^Group=.*/Group=root/' "docker/$name" >"$units/${name/@/@srv-test}"
        said=$(systemd-analyze verify --man=no "$units/${name/@/@srv-test}" 2>&1 | grep -F "${name%%[@.]*}")
        [ -z "$said" ] || complain "docker/$name: $said"
    done
    rm -r "$units"
fi

for option in $({ "$sluice" serve --help; "$sluice" mount --help; } | grep -oE '^  --[a-z0-9-]+' | tr -d ' '); do
    grep -qF -- "\`$option" docs/cli.md || grep -qF -- "$option FILE" docs/cli.md || complain "docs/cli.md: $option is missing"
done

[ "$bad" = 0 ] && echo "packaging holds"
exit "$bad"
