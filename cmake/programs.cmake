# How the programs of tests/, examples/ and bench/ are compiled, and the switches of the presets.

option(CTHREADS_WERROR "Treat warnings in tests, examples and benchmarks as errors" ON)
option(CTHREADS_PORTABLE_PARK "Build all programs with the portable park (mtx_t and cnd_t)" OFF)
option(CTHREADS_SIM_EXAMPLES "Build the examples for the simulator and test them there" OFF)
set(CTHREADS_SANITIZE "" CACHE STRING
    "Sanitizers for all programs: empty, 'thread' or 'address,undefined'")
set_property(CACHE CTHREADS_SANITIZE PROPERTY STRINGS "" "thread" "address,undefined")
if(NOT CTHREADS_SANITIZE MATCHES "^(|thread|address,undefined)$")
  message(FATAL_ERROR "CTHREADS_SANITIZE is '${CTHREADS_SANITIZE}', which is none of its values")
endif()

# Assertions stay on in optimised builds: these programs exist to notice what is wrong.
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELWITHDEBINFO "${CMAKE_C_FLAGS_RELWITHDEBINFO}")

set(cth_strict -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wundef)
if(CTHREADS_WERROR)
  list(APPEND cth_strict -Werror)
endif()

set(cth_sanitize "")
# The sanitizers' settings, for every test.
set(cth_test_environment "")
if(CTHREADS_SANITIZE)
  set(cth_sanitize -fsanitize=${CTHREADS_SANITIZE} -fno-sanitize-recover=all
      -fno-omit-frame-pointer)
  list(APPEND cth_test_environment
       "TSAN_OPTIONS=halt_on_error=1:exitcode=66:second_deadlock_stack=1"
       "ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:exitcode=67"
       "UBSAN_OPTIONS=print_stacktrace=1"
       # The watchdog of tests/test.h has to be more patient.
       "TEST_TIMEOUT=4")
endif()

# cth_flags(<target> [SIM]): as strict as the header, and with the switches of the preset.
function(cth_flags target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "SIM" "" "")
  target_link_libraries(${target} PRIVATE cthreads::cthreads)
  set_target_properties(${target} PROPERTIES
    C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF)
  target_compile_options(${target} PRIVATE ${cth_strict} ${cth_sanitize})
  # With '=', as by `#define NAME` in a file, so that a file may define the same again.
  if(CTHREADS_PORTABLE_PARK)
    target_compile_definitions(${target} PRIVATE "CTHREADS_PORTABLE_PARK=")
  endif()
  if(CTHREADS_SANITIZE MATCHES "address")
    # The sanitizer does not see thrd_create: it would not report what such threads leak, and take
    # the stack of an ended one for that of a new one.
    target_compile_definitions(${target} PRIVATE "CTHREADS_PTHREADS=")
  endif()
  if(arg_SIM)
    target_compile_definitions(${target} PRIVATE "CTHREADS_SIM=")
  endif()
endfunction()

# cth_needs_own(<variable> <source>): whether a program needs an implementation of its own: it looks
# into it (private names other than these of the API part), configures it by macros, or gets it from
# a file that it includes, which may do either.
function(cth_needs_own variable source)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${source}")
  file(READ "${source}" text)
  string(REGEX REPLACE
    "cth__(word|load|store|swap|add|sub|or|and|cas|cas_weak|fence)[^a-z_]|CTH__HAS_THREADS_H" ""
    text "${text}")
  string(REGEX REPLACE "# *define CTHREADS_IMPLEMENTATION" "the kit" rest "${text}")
  set(${variable} OFF PARENT_SCOPE)
  if(rest STREQUAL text OR rest MATCHES "cth__|CTH__|# *define (CTHREADS_|CTH_[A-Z])")
    set(${variable} ON PARENT_SCOPE)
  endif()
endfunction()

# cth_program(<target> <source> [SIM]): one program from one file. It defines CTHREADS_IMPLEMENTATION,
# so that it can be compiled alone; but what takes longest is compiled once for all programs here that
# do not need their own: they take the implementation for included already.
function(cth_program target source)
  cmake_parse_arguments(PARSE_ARGV 2 arg "SIM" "" "")
  set(sim "")
  set(kit cth_kit)
  if(arg_SIM)
    set(sim SIM)
    set(kit cth_kit_sim)
  endif()
  cmake_path(ABSOLUTE_PATH source)
  add_executable(${target} "${source}")
  cth_flags(${target} ${sim})
  target_link_options(${target} PRIVATE ${cth_sanitize})
  cth_needs_own(own "${source}")
  if(NOT own)
    if(NOT TARGET ${kit})
      add_library(${kit} OBJECT "${PROJECT_SOURCE_DIR}/cmake/kit.c")
      cth_flags(${kit} ${sim})
    endif()
    target_compile_definitions(${target} PRIVATE "CTH_CTHREADS_IMPL_INCLUDED=")
    target_link_libraries(${target} PRIVATE ${kit})
  endif()
endfunction()

# cth_add_test(<name> <label> <timeout in seconds> <command>...): a test that may say by exit
# status 77 that something it needs is missing; CTest then lists it as skipped, not as passed.
# The presets run 8 at a time, for most tests mostly sleep; the others count for two. Those that run
# for a given time start first.
function(cth_add_test name label timeout)
  set(processors 1)
  set(cost 0)
  if(label MATCHES "^(sim|compile|fault)$")
    set(processors 2)
  elseif(label STREQUAL "stress")
    set(cost 1000)
  elseif(label MATCHES "^(model|example)$") # long, or asleep: so that the end need not wait for one
    set(cost 100)
  endif()
  add_test(NAME ${name} COMMAND ${ARGN})
  set_tests_properties(${name} PROPERTIES
    LABELS "${label}"
    TIMEOUT ${timeout}
    PROCESSORS ${processors}
    COST ${cost}
    SKIP_RETURN_CODE 77
    ENVIRONMENT "${cth_test_environment}")
endfunction()

# cth_glob(<variable> <folder> <pattern>...): the files of the folder that match. None at all is an
# error: a suite that has lost its programs must not pass.
function(cth_glob variable folder)
  list(TRANSFORM ARGN PREPEND "${folder}/" OUTPUT_VARIABLE patterns)
  file(GLOB found CONFIGURE_DEPENDS ${patterns})
  if(NOT found)
    message(FATAL_ERROR "${folder}: no file matches ${ARGN}")
  endif()
  set(${variable} "${found}" PARENT_SCOPE)
endfunction()
