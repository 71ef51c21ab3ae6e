# What `cmake --install` puts where: headers, libraries (exported by each module), the scripts, and the
# package files that make find_package(deeppcr) work.
include(CMakePackageConfigHelpers)
set(DEEPPCR_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/deeppcr)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/deeppcr DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.hpp")
install(PROGRAMS ${PROJECT_SOURCE_DIR}/apps/plot_trace.py
        DESTINATION ${CMAKE_INSTALL_BINDIR} RENAME deeppcr-plot)
install(PROGRAMS ${PROJECT_SOURCE_DIR}/apps/export_pytorch.py
        DESTINATION ${CMAKE_INSTALL_BINDIR} RENAME deeppcr-export-pytorch)
foreach(part files tensors traces style over_time layers cells onnx safetensors blocks denoiser)
  install(FILES ${PROJECT_SOURCE_DIR}/apps/deeppcr_${part}.py DESTINATION ${CMAKE_INSTALL_DATADIR}/deeppcr)
endforeach()
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

install(EXPORT deeppcrTargets NAMESPACE deeppcr:: DESTINATION ${DEEPPCR_PACKAGE_DIR})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/deeppcrConfig.cmake.in
  ${PROJECT_BINARY_DIR}/deeppcrConfig.cmake INSTALL_DESTINATION ${DEEPPCR_PACKAGE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/deeppcrConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/deeppcrConfig.cmake ${PROJECT_BINARY_DIR}/deeppcrConfigVersion.cmake
        DESTINATION ${DEEPPCR_PACKAGE_DIR})
