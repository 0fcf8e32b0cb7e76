#!/bin/sh
# One compile test:  compile.sh <case> <compiler> [<standard>]
# Exit status 0: passed; 77: the compiler is not installed; else failed.
set -eu

case_=$1
compiler=$2
standard=${3:-c11}

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
if ! command -v "$compiler" >/dev/null 2>&1; then
    echo "skipped: $compiler is not installed"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

warnings="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Werror"
strict="$warnings -Wstrict-prototypes"

fail() {
    echo "$case_ $compiler: $*" >&2
    exit 1
}
# The optimiser finds warnings of its own; they do not depend on the standard.
case $case_-$standard in
strict-c11 | cxx-c++11) level=-O2 ;;
modes-*) level=-O1 ;; # the linker names what the optimiser leaves
*) level=-O0 ;;
esac
# compile <object> <source> [flags]: an object of C code, with all warnings as errors.
compile() {
    object=$1
    source=$2
    shift 2
    "$compiler" -std="$standard" $level $strict -I"$root" "$@" -c -o "$object" "$source"
}
link() {
    "$compiler" -o "$@" -pthread
}
# expect <text> <command>...: the command ends with 0 and prints the text.
expect() {
    text=$1
    shift
    got=$("$@") || fail "$* ended with $?"
    [ "$got" = "$text" ] || fail "$* printed '$got', not '$text'"
}
# The external names that an object defines.
defined() {
    nm -g --defined-only "$1" | awk 'NF { print $NF }'
}

# The implementation and nothing else.
printf '#define CTHREADS_IMPLEMENTATION\n#include "cthreads.h"\n' >alone.c

# The ways in which one file can be built; each is one word per flag.
plain=
sim=-DCTHREADS_SIM
debug=-DCTHREADS_DEBUG
simdebug="-DCTHREADS_SIM -DCTHREADS_DEBUG"

# function_list <flags>: the public functions there are with these flags.
function_list() {
    python3 "$here/../tools/header.py" "$root/cthreads.h" >functions
    [ "$(wc -l <functions)" -ge 50 ] || fail "found only $(wc -l <functions) functions"
    case "$*" in
    *CTHREADS_SIM*) awk '{ print $2 }' functions ;;
    *) awk '$1 == "both" { print $2 }' functions ;;
    esac
}
# address_table <flags>: C and C++ code whose `main` prints "all" when no function's address is 0.
address_table() {
    echo '#include "cthreads.h"'
    echo '#include <stdio.h>'
    echo 'typedef void (*any_fn)(void);'
    echo 'static any_fn volatile table[] = {'
    for name in $(function_list "$@"); do
        echo "    (any_fn)$name,"
    done
    echo '};'
    echo 'int main(void) {'
    echo '    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {'
    echo '        if (!table[i]) { return 1; }'
    echo '    }'
    echo '    puts("all");'
    echo '    return 0;'
    echo '}'
}

case $case_ in
strict)
    # Before and after other headers, twice, and a second time as the implementation; then in every
    # configuration.
    compile first.o "$here/include_first.c"
    compile last.o "$here/include_last.c"
    compile twice.o "$here/include_twice.c"
    link twice twice.o
    expect 3 ./twice
    # The optimiser looks at the two that differ most; what an implementation says about unused
    # functions does not depend on the standard, so that the others are only parsed.
    [ "$standard" = c11 ] && parse= || parse=-fsyntax-only
    for flags in "$debug" "$simdebug" -DCTHREADS_PORTABLE_PARK -DCTHREADS_PTHREADS \
        "-DCTHREADS_PTHREADS -DCTHREADS_PORTABLE_PARK"; do
        compile alone.o alone.c $flags -O0 $parse
        compile first.o "$here/include_first.c" $flags -O0 $parse
    done
    for flags in "$plain" "$sim"; do
        compile alone.o alone.c $flags
        compile first.o "$here/include_first.c" $flags -O0
    done
    for flags in "$plain" "$sim" "$debug"; do
        compile static.o "$here/include_first.c" -DCTHREADS_STATIC $flags -O0 $parse
    done
    [ "$standard" = c11 ] && level=-O3 # inlines most, and so sees most
    compile static.o "$here/include_first.c" -DCTHREADS_STATIC -DCTHREADS_IMPLEMENTATION
    ;;
include_only)
    # A file that only includes the header has no code, no data and no need of the implementation.
    printf '#include "cthreads.h"\nint main(void) { return 0; }\n' >main.c
    printf '#include "cthreads.h"\ntypedef int not_empty;\n' >empty.c
    for flags in "$plain" "$sim" "$debug"; do
        for level in -O0 -O2; do
            compile empty.o empty.c $flags
            found=$(nm empty.o)
            [ -z "$found" ] || fail "'$flags $level': the empty file has symbols: $found"
            compile main.o main.c $flags
            "$compiler" -o main main.o
            ./main
        done
    done
    ;;
two_units)
    # One file with the implementation, one without; both take the same locks. musl-gcc: static.
    [ "$compiler" != musl-gcc ] || set -- -static
    [ "$compiler" = musl-gcc ] || set --
    for flags in "$plain" "$sim" "$debug" "$simdebug"; do
        compile a.o "$here/unit_a.c" $flags
        for level in -O1 -O0; do
            compile b.o "$here/unit_b.c" $flags
            link two a.o b.o "$@"
            expect 4000 ./two
        done
    done
    ;;
static_unit)
    # The whole kit private to one file: it defines no external name but main.
    [ "$compiler" != musl-gcc ] || set -- -static
    [ "$compiler" = musl-gcc ] || set --
    cat "$here/unit_b.c" >both.c
    printf '#include "unit_a.c"\n' >>both.c
    for flags in "$plain" "$sim" "$debug"; do
        compile both.o both.c -DCTHREADS_STATIC -I"$here" $flags
        names=$(defined both.o | grep -v -e '^main$' -e '^unit_' || true)
        [ -z "$names" ] || fail "'$flags': external names in a CTHREADS_STATIC file: $names"
        link both both.o "$@"
        expect 4000 ./both
    done
    ;;
symbols)
    # All external names begin with cth_; every public function is among them.
    for flags in "$plain" "$sim" "$debug" "$simdebug" -DCTHREADS_PORTABLE_PARK \
        -DCTHREADS_PTHREADS; do
        compile alone.o alone.c $flags
        defined alone.o | sort >names
        others=$(grep -v '^cth_' names || true)
        [ -z "$others" ] || fail "'$flags': external names without the prefix: $others"
        function_list $flags | sort >wanted
        missing=$(comm -13 names wanted)
        [ -z "$missing" ] || fail "'$flags': not in the object: $missing"
        # A name without the private prefix is one that the header declares.
        extra=$(grep -v '^cth__' names | comm -23 - wanted)
        [ -z "$extra" ] || fail "'$flags': public names that the API part does not have: $extra"
    done
    ;;
addresses)
    # Each public function, the inline ones included, has an address that another file can take.
    for flags in "$plain" "$sim"; do
        compile alone.o alone.c $flags
        address_table $flags >table.c
        for level in -O0 -O2; do
            compile table.o table.c $flags
            link table table.o alone.o
            expect all ./table
        done
    done
    ;;
modes)
    # Files built with different CTHREADS_SIM or CTHREADS_DEBUG must not link with each other, and
    # the linker's message names a function of the right mode.
    for mode in plain sim debug simdebug; do
        eval "flags=\$$mode"
        compile "a_$mode.o" "$here/unit_a.c" $flags -O0
        compile "b_$mode.o" "$here/unit_b.c" $flags
    done
    for a in plain sim debug simdebug; do
        for b in plain sim debug simdebug; do
            if link both "a_$a.o" "b_$b.o" >log 2>&1; then
                [ $a = $b ] || fail "a $b file links with a $a implementation"
            else
                [ $a != $b ] || fail "$a does not link with itself: $(cat log)"
                grep -q 'undefined reference to .cth__mutex_lock_slow' log ||
                    fail "$b does not link with $a for another reason: $(cat log)"
            fi
        done
    done
    ;;
shared)
    # The implementation in a shared library, its user in the program.
    compile a.o alone.c -fPIC
    "$compiler" -shared -o libcth.so a.o -pthread
    grep -v -e CTHREADS_IMPLEMENTATION -e '^#endif' "$here/unit_a.c" >a.c
    compile main.o a.c -I"$here"
    compile b.o "$here/unit_b.c"
    "$compiler" -o main main.o b.o -L. -lcth -Wl,-rpath,"$work" -pthread
    expect 4000 ./main
    ;;
cxx)
    for type in $(sed -n 's/^} \(cth_[a-z][a-z_]*\);$/\1/p' "$root/cthreads.h"); do
        grep -q "SIZE($type)" "$here/layout.c" || fail "layout.c does not look at $type"
    done
    # The declarations as C++: all macros, the layout that C sees, every address, and a run against
    # the implementation compiled as C by the compiler's sibling.
    case $compiler in
    clang++) cc=clang ;;
    *) cc=gcc ;;
    esac
    for flags in "$plain" "$sim"; do
        cpp="$compiler -std=$standard $level $warnings $flags -I$root"
        c="$cc -std=c11 -O0 $strict $flags -I$root"
        $c -c -o alone.o alone.c
        $c -c -o layout_c.o "$here/layout.c"
        $cpp -c -o use.o "$here/use.cpp"
        $cpp -x c++ -c -o layout_cxx.o "$here/layout.c"
        "$compiler" -o use use.o layout_c.o layout_cxx.o alone.o -pthread
        expect "400 with the same layout" ./use
        # Function pointers of different types are cast on purpose there.
        address_table $flags >table.cpp
        $cpp -c -o table.o table.cpp
        "$compiler" -o table table.o alone.o -pthread
        expect all ./table
    done
    ;;
cxx_refused)
    # The implementation is C: as C++ it is refused by a message that says what to do.
    cp alone.c alone.cpp
    if "$compiler" -std=c++17 -I"$root" -c -o alone.o alone.cpp >log 2>&1; then
        fail "the implementation compiles as C++"
    fi
    grep -q 'define CTHREADS_IMPLEMENTATION in a .c file' log || fail "$(cat log)"
    printf '#include "cthreads.h"\n' >old.cpp
    if "$compiler" -std=c++98 -I"$root" -c -o old.o old.cpp >log 2>&1; then
        fail "the declarations compile as C++98"
    fi
    grep -q 'the declarations need C++11' log || fail "$(cat log)"
    ;;
*)
    fail "no such case"
    ;;
esac
