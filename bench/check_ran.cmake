# cmake -DDIRECTORY=... -P check_ran.cmake: fail unless a benchmark program has left its values there.
# Each program that measures anything writes one file.
file(GLOB files "${DIRECTORY}/bench_*.json")
if(NOT files)
    message(FATAL_ERROR "no case in any benchmark program matches the filter")
endif()
