#!/usr/bin/env bash
# Puts ONNX Runtime's shared library into the cache and prints its path:
#
#	infra/onnxruntime.sh [OS-ARCH]	OS and ARCH as Go names them; default: this machine
#
# The library comes out of a Python wheel, or of an npm package where Python has
# no pip: npm's is half as large again, with a backend for WebGPU. Both are
# fetched by name and version and checked by hash before anything of them is
# used. Neither package is installed and nothing in it is run: npm's would fetch
# CUDA. Keep the version that of internal/onnx.
set -euo pipefail

version=1.24.1
npm_package=onnxruntime-node@$version
npm_sha=57181cf6e6e711b155c5b942d591fd63ded0b5de5c4922d51fd994e7f6ac2772

# machine prints what this machine is to Go. Go need not be there.
machine() {
	local os arch
	case $(uname -s) in
	Linux) os=linux ;;
	Darwin) os=darwin ;;
	MINGW* | MSYS* | CYGWIN*) os=windows ;;
	*) os=$(uname -s) ;;
	esac
	case $(uname -m) in
	x86_64 | amd64) arch=amd64 ;;
	aarch64 | arm64) arch=arm64 ;;
	*) arch=$(uname -m) ;;
	esac
	echo "$os-$arch"
}

target=${1:-$(machine)}

# For each target: the library's name in the cache; its member in the npm
# package, and that one's hash; the wheel's platform and hash, the library's
# member in it, and that one's hash. The two builds differ, so either hash will
# do for a library that is in the cache.
case $target in
linux-amd64)
	name=libonnxruntime.so.1
	npm_member=linux/x64/libonnxruntime.so.1
	npm_library_sha=53ef1ac028dd1b05554b8da28d9159eb3876f99868193d2aaa6e67f0243c23d4
	wheel_platform=manylinux_2_28_x86_64
	wheel_sha=34b6119526eda12613f0d0498e2ae59563c247c370c9cef74c2fc93133dde157
	wheel_member=libonnxruntime.so.$version
	wheel_library_sha=94ac52f650e195b784587e1cb7d25b4bf074048b50fa9a7127795b2ed34db22e
	;;
linux-arm64)
	name=libonnxruntime.so.1
	npm_member=linux/arm64/libonnxruntime.so.1
	npm_library_sha=7954e8bdedb497f830c6a679e818d98399b7f4d81ade1126c3e0be74d28111ab
	wheel_platform=manylinux_2_28_aarch64
	wheel_sha=780add442ce2d4175fafb6f3102cdc94243acffa3ab16eacc03dd627cc7b1b54
	wheel_member=libonnxruntime.so.$version
	wheel_library_sha=31d6df98d3a2942ce10472109f988037f330dad6cb1c19e214fd2b1327315ee0
	;;
darwin-arm64)
	name=libonnxruntime.dylib
	npm_member=darwin/arm64/libonnxruntime.$version.dylib
	npm_library_sha=7ad6507ad64d3b02aebfae6380c024ff188939cd8a7a493ec18028e034c8275c
	wheel_platform=macosx_14_0_arm64
	wheel_sha=7307aab9e2e879c0171f37e0eb2808a5b4aec7ba899bb17c5f0cedfc301a8ac2
	wheel_member=libonnxruntime.$version.dylib
	wheel_library_sha=644ea9751a5e7e56dff293d2a7c3d78f18f8b404e85bade791c0d40a3b950553
	;;
windows-amd64)
	name=onnxruntime.dll
	npm_member=win32/x64/onnxruntime.dll
	npm_library_sha=be46630a10f6ed3897fd9d1ec83f6e2577e34851fb1024d685884ed40faed3a7
	wheel_platform=win_amd64
	wheel_sha=df0af2f1cfcfff9094971c7eb1d1dfae7ccf81af197493c4dc4643e4342c0946
	wheel_member=onnxruntime.dll
	wheel_library_sha=782a0d8f65d4e3b0b08cfe5217dbbdd6100a65dc6757868a385704b731ef774f
	;;
*)
	echo "onnxruntime: no build of ONNX Runtime $version for $target; use linux-amd64, linux-arm64, darwin-arm64 or windows-amd64" >&2
	exit 1
	;;
esac

folder=${XDG_CACHE_HOME:-$HOME/.cache}/agequote/onnxruntime/$version/$target
library=$folder/$name

sha256() {
	if command -v sha256sum >/dev/null; then
		sha256sum "$1"
	else
		shasum -a 256 "$1"
	fi | cut -d ' ' -f 1
}

# expect fails, and says so, where a file has another hash.
expect() {
	[ "$(sha256 "$2")" = "$1" ] && return 0
	echo "${2##*/} is not the one that was expected, by its SHA-256"
	return 1
}

# sound tells whether a file is the library.
sound() {
	[ -f "$1" ] || return 1
	case $(sha256 "$1") in
	"$npm_library_sha" | "$wheel_library_sha") return 0 ;;
	*) return 1 ;;
	esac
}

if sound "$library"; then
	echo "$library"
	exit 0
fi

mkdir -p "$folder"
scratch=$(mktemp -d "$folder/fetch.XXXXXX") # on the cache's own disk, so that the last step is a rename
trap 'rm -rf "$scratch"' EXIT

by_npm() {
	command -v npm >/dev/null || return 1
	npm pack --ignore-scripts --pack-destination "$scratch" "$npm_package" || return 1
	expect "$npm_sha" "$scratch/onnxruntime-node-$version.tgz" || return 1
	tar -xzf "$scratch/onnxruntime-node-$version.tgz" -C "$scratch" "package/bin/napi-v6/$npm_member" || return 1
	mv "$scratch/package/bin/napi-v6/$npm_member" "$scratch/library"
}

# by_pip takes the wheel of Python 3.12 whatever Python runs here: the library
# in it is the same for all.
by_pip() {
	local python wheel
	for python in python3 python; do
		"$python" -m pip --version >/dev/null 2>&1 && break
		python=
	done
	[ -n "$python" ] || return 1
	"$python" -m pip download --disable-pip-version-check --no-input --no-deps --only-binary=:all: \
		--implementation cp --python-version 3.12 --abi cp312 --platform "$wheel_platform" \
		--dest "$scratch" "onnxruntime==$version" || return 1
	wheel=$(echo "$scratch"/*.whl)
	expect "$wheel_sha" "$wheel" || return 1
	"$python" -c 'import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]).open(sys.argv[2]) as member, open(sys.argv[3], "wb") as out:
    shutil.copyfileobj(member, out)' "$wheel" "onnxruntime/capi/$wheel_member" "$scratch/library"
}

log=$folder/fetch.log
: >"$log"
for way in by_pip by_npm; do
	if "$way" >>"$log" 2>&1 && sound "$scratch/library"; then
		mv -f "$scratch/library" "$library"
		rm -f "$log"
		echo "$library"
		exit 0
	fi
	rm -rf "${scratch:?}"/*
done

echo "onnxruntime: cannot fetch ONNX Runtime $version: install Python with pip, or npm, and see that it reaches its package registry (its words are in $log)" >&2
exit 1
