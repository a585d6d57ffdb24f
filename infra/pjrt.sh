#!/usr/bin/env bash
# Puts XLA's PJRT plugin for the CPU into the cache and prints its path. GoMLX
# trains through it; on a GPU it is another one, see docs/training-aws.md.
#
# The plugin is one file of a Python wheel, which is fetched by name and version
# and checked by hash before anything of it is used. The wheel is not installed
# and nothing in it is run. Keep the version that of training/job.go.
set -euo pipefail

version=0.11.2
package=lammps-jax-pjrt-cpu
wheel_sha=1319390d948b39f69f7dade496b7c385149d9ca6097a6b62114da113216d9ad1
member=lammps_jax_pjrt_cpu/pjrt_c_api_cpu_plugin.so
plugin_sha=ad1309ac822b1b24d51b7f9947c7c9fa9ef5d67f390584cbc3d1fa2428fed9c2

case $(uname -s)-$(uname -m) in
Linux-x86_64 | Linux-amd64) ;;
*)
	echo "pjrt: the package index has XLA's CPU plugin for linux-amd64 alone; elsewhere build or get one and name it: GOMLX_BACKEND=xla:/path/of/the/plugin" >&2
	exit 1
	;;
esac

folder=${XDG_CACHE_HOME:-$HOME/.cache}/agequote/pjrt/$version/linux-amd64
plugin=$folder/pjrt_c_api_cpu_plugin.so

sha256() { sha256sum "$1" | cut -d ' ' -f 1; }

if [ -f "$plugin" ] && [ "$(sha256 "$plugin")" = "$plugin_sha" ]; then
	echo "$plugin"
	exit 0
fi

mkdir -p "$folder"
scratch=$(mktemp -d "$folder/fetch.XXXXXX") # on the cache's own disk, so that the last step is a rename
trap 'rm -rf "$scratch"' EXIT

fetch() {
	local python wheel
	for python in python3 python; do
		"$python" -m pip --version >/dev/null 2>&1 && break
		python=
	done
	[ -n "$python" ] || { echo "there is no Python with pip"; return 1; }
	"$python" -m pip download --disable-pip-version-check --no-input --no-deps --only-binary=:all: \
		--platform manylinux_2_27_x86_64 --dest "$scratch" "$package==$version" || return 1
	wheel=$(echo "$scratch"/*.whl)
	[ "$(sha256 "$wheel")" = "$wheel_sha" ] || { echo "${wheel##*/} is not the one that was expected, by its SHA-256"; return 1; }
	"$python" -c 'import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]).open(sys.argv[2]) as member, open(sys.argv[3], "wb") as out:
    shutil.copyfileobj(member, out)' "$wheel" "$member" "$scratch/plugin" || return 1
	[ "$(sha256 "$scratch/plugin")" = "$plugin_sha" ] || { echo "the plugin is not the one that was expected, by its SHA-256"; return 1; }
}

log=$folder/fetch.log
if fetch >"$log" 2>&1; then
	mv -f "$scratch/plugin" "$plugin"
	rm -f "$log"
	echo "$plugin"
	exit 0
fi
echo "pjrt: cannot fetch $package $version: install Python with pip, and see that it reaches its package index (its words are in $log)" >&2
exit 1
