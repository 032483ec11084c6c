# The installed package: headers, static libraries, executables, the licence, and a CMake package that
# names no LibTorch: the program that uses it finds its own, through the HoneLibTorch.cmake installed
# with it.
include(CMakePackageConfigHelpers)

set(_package ${CMAKE_INSTALL_LIBDIR}/cmake/hone)

set_target_properties(hone_flags PROPERTIES EXPORT_NAME flags)
set_target_properties(hone_torch PROPERTIES EXPORT_NAME torch)
list(TRANSFORM HONE_ROOMS PREPEND hone_ OUTPUT_VARIABLE _libraries)
install(TARGETS hone hone_flags hone_torch ${_libraries} EXPORT honeTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT honeTargets NAMESPACE hone:: DESTINATION ${_package})

# detail/ and the loops of cpu/ stay behind: no header outside them includes one of them.
install(DIRECTORY lib/hone DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.h" PATTERN detail EXCLUDE PATTERN cpu EXCLUDE)

configure_package_config_file(cmake/honeConfig.cmake.in ${PROJECT_BINARY_DIR}/honeConfig.cmake
  INSTALL_DESTINATION ${_package} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/honeConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/honeConfig.cmake ${PROJECT_BINARY_DIR}/honeConfigVersion.cmake
  cmake/HoneLibTorch.cmake DESTINATION ${_package})

install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

if(HONE_APPS)
  get_property(_apps GLOBAL PROPERTY HONE_APP_TARGETS)
  install(TARGETS ${_apps} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT apps)
endif()
