# What `cmake --install` installs. Everything may be moved afterwards: the package files find the
# header by their own place.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# A folder of its own, so that nothing else of the prefix comes into the include path.
set(cth_include "include/cthreads")
# Package files of a library without machine code belong under share/.
set(cth_cmake "share/cmake/cthreads")
set(cth_pkgconfig "share/pkgconfig")

install(FILES "${PROJECT_SOURCE_DIR}/cthreads.h" DESTINATION "${cth_include}")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")

install(TARGETS cthreads EXPORT cthreads)
install(EXPORT cthreads
  NAMESPACE cthreads::
  FILE cthreads-targets.cmake
  DESTINATION "${cth_cmake}")
configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/cmake/cthreads-config.cmake.in"
  "${PROJECT_BINARY_DIR}/cthreads-config.cmake"
  INSTALL_DESTINATION "${cth_cmake}")
# Before 1.0 a new minor version may change the interface.
write_basic_package_version_file(
  "${PROJECT_BINARY_DIR}/cthreads-config-version.cmake"
  COMPATIBILITY SameMinorVersion
  ARCH_INDEPENDENT)
install(FILES
  "${PROJECT_BINARY_DIR}/cthreads-config.cmake"
  "${PROJECT_BINARY_DIR}/cthreads-config-version.cmake"
  DESTINATION "${cth_cmake}")

configure_file(
  "${PROJECT_SOURCE_DIR}/cmake/cthreads.pc.in" "${PROJECT_BINARY_DIR}/cthreads.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/cthreads.pc" DESTINATION "${cth_pkgconfig}")
