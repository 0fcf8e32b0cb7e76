# Run example programs in turn, each under a heading, with their output visible. The first one that
# fails ends the tour with an error.
#   cmake "-DPROGRAMS=<title>=<file>;..." -P tour.cmake
if(NOT PROGRAMS)
  message(FATAL_ERROR "the tour is empty")
endif()
foreach(entry IN LISTS PROGRAMS)
  string(REGEX MATCH "^([^=]+)=(.*)$" ignored "${entry}")
  set(title "${CMAKE_MATCH_1}")
  set(program "${CMAKE_MATCH_2}")
  # By `cmake -E echo`, because message() writes to stderr and would not keep the order.
  execute_process(COMMAND ${CMAKE_COMMAND} -E echo "\n==== examples/${title}.c")
  execute_process(COMMAND "${program}" TIMEOUT 60 RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "examples/${title}.c ended with ${result}")
  endif()
endforeach()
