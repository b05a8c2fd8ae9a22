# `cmake --install`, then `find_package(fundusrt)`: targets fundusrt::fundusrt (C++) and fundusrt::c.
install(TARGETS fundusrt fundusrt_c EXPORT fundusrt_targets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY include/fundusrt DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT fundusrt_targets NAMESPACE fundusrt:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/fundusrt)
configure_package_config_file(cmake/fundusrt-config.cmake.in fundusrt-config.cmake
    INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/fundusrt)
write_basic_package_version_file(fundusrt-config-version.cmake COMPATIBILITY SameMajorVersion)
install(FILES
    "${CMAKE_CURRENT_BINARY_DIR}/fundusrt-config.cmake"
    "${CMAKE_CURRENT_BINARY_DIR}/fundusrt-config-version.cmake"
    cmake/FindOnnxRuntime.cmake
    cmake/FindTensorRT.cmake
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/fundusrt)

# Beside the libraries, where they look first: a device then needs nothing that the system or a Python has.
option(FUNDUSRT_INSTALL_ONNXRUNTIME "Install the ONNX Runtime library with the others" ON)
if(OnnxRuntime_FOUND AND FUNDUSRT_INSTALL_ONNXRUNTIME)
    get_filename_component(_onnxruntime_real "${ONNXRUNTIME_LIBRARY}" REALPATH)
    install(FILES "${_onnxruntime_real}" DESTINATION ${CMAKE_INSTALL_LIBDIR} RENAME libonnxruntime.so.1)
endif()
