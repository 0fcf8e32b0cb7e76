#!/bin/sh
# Build and run app/ against the project:  consume.sh <way> <cmake> <C compiler>
# <way> is find_package, pkg_config or subdirectory. Exit status 77: a tool is missing.
set -eu
way=$1
cmake=$2
export CC="$3"
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
unset CFLAGS LDFLAGS CMAKE_PREFIX_PATH PKG_CONFIG_PATH || true
export CMAKE_GENERATOR="Unix Makefiles"

if [ "$way" = pkg_config ] && ! command -v pkg-config >/dev/null; then
    echo "skipped: pkg-config is not installed"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "$way: $*" >&2
    exit 1
}
# The program prints the version of the header it was built with, and 1000.
version=$(sed -n 's/^# *define CTH_VERSION_STRING "\(.*\)"$/\1/p' "$root/cthreads.h")
expect_run() {
    got=$("$1") || fail "$1 ended with $?"
    [ "$got" = "$version 1000" ] || fail "$1 printed '$got', not '$version 1000'"
}

if [ "$way" = subdirectory ]; then
    $cmake -S "$here/subdirectory" -B "$work/build" "-DCTHREADS_DIR=$root"
    $cmake --build "$work/build"
    expect_run "$work/build/app"
    # As a part of another project it adds no programs, no tests and nothing to install.
    $cmake --install "$work/build" --prefix "$work/installed"
    [ ! -e "$work/installed" ] || fail "it installs: $(find "$work/installed")"
    for folder in tests examples bench; do
        [ ! -e "$work/build/cthreads/$folder" ] || fail "it builds $folder"
    done
    exit 0
fi

$cmake -S "$root" -B "$work/build" -DCTHREADS_BUILD_TESTS=OFF -DCTHREADS_BUILD_EXAMPLES=OFF
$cmake --install "$work/build" --prefix "$work/first"
[ -f "$work/first/include/cthreads/cthreads.h" ] || fail "no include/cthreads/cthreads.h"
[ ! -e "$work/first/include/cthreads.h" ] || fail "cthreads.h in the bare include folder"
mv "$work/first" "$work/moved"
# The build folder goes too: nothing may point there.
rm -rf "$work/build"
found=$(grep -rlF "$work" "$work/moved" || true)
[ -z "$found" ] || fail "these name the folder of the installation: $found"

case $way in
find_package)
    $cmake -S "$here/find_package" -B "$work/app" "-DCMAKE_PREFIX_PATH=$work/moved"
    $cmake --build "$work/app"
    expect_run "$work/app/app"
    if $cmake -S "$here/find_package" -B "$work/other" "-DCMAKE_PREFIX_PATH=$work/moved" \
        -DWANTED=99.0 >"$work/log" 2>&1; then
        fail "version 99.0 was found"
    fi
    grep -q "version: $version" "$work/log" || fail "$(cat "$work/log")"
    ;;
pkg_config)
    export PKG_CONFIG_PATH="$work/moved/share/pkgconfig"
    got=$(pkg-config --modversion cthreads)
    [ "$got" = "$version" ] || fail "pkg-config says version $got"
    $CC -std=c11 $(pkg-config --cflags cthreads) -o "$work/app" "$here/app/app.c" \
        $(pkg-config --libs cthreads)
    expect_run "$work/app"
    # The same header by its long name.
    echo '#include <cthreads/cthreads.h>' >"$work/long.c"
    $CC -std=c11 -I"$work/moved/include" -c -o "$work/long.o" "$work/long.c"
    ;;
*)
    fail "no such way"
    ;;
esac
