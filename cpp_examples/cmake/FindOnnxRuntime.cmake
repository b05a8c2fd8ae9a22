# The headers and the library of ONNX Runtime: OnnxRuntime::OnnxRuntime.
#
# Looked for in ONNXRUNTIME_ROOT (a variable or in the environment) and where the system keeps them. The library may be
# the one inside the Python wheel, whose file has a version behind its name: a link with the name that the loader wants
# is made in the build folder.
find_path(ONNXRUNTIME_INCLUDE_DIR onnxruntime_cxx_api.h
    HINTS ${ONNXRUNTIME_ROOT} $ENV{ONNXRUNTIME_ROOT}
    PATH_SUFFIXES include include/onnxruntime include/onnxruntime/core/session)
find_library(ONNXRUNTIME_LIBRARY onnxruntime HINTS ${ONNXRUNTIME_ROOT} $ENV{ONNXRUNTIME_ROOT} PATH_SUFFIXES lib)

if(NOT ONNXRUNTIME_LIBRARY)
    find_package(Python3 QUIET COMPONENTS Interpreter)
    if(Python3_FOUND)
        execute_process(
            COMMAND "${Python3_EXECUTABLE}" -c "import importlib.util as u, os; s = u.find_spec('onnxruntime'); print(os.path.join(os.path.dirname(s.origin), 'capi') if s else '')"
            OUTPUT_VARIABLE _onnxruntime_wheel OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
        file(GLOB _onnxruntime_versions "${_onnxruntime_wheel}/libonnxruntime.so.*")
        if(_onnxruntime_wheel AND _onnxruntime_versions)
            list(GET _onnxruntime_versions 0 _onnxruntime_file)
            set(_onnxruntime_links "${CMAKE_BINARY_DIR}/onnxruntime")
            file(MAKE_DIRECTORY "${_onnxruntime_links}")
            file(CREATE_LINK "${_onnxruntime_file}" "${_onnxruntime_links}/libonnxruntime.so.1" SYMBOLIC)
            set(ONNXRUNTIME_LIBRARY "${_onnxruntime_links}/libonnxruntime.so.1" CACHE FILEPATH "ONNX Runtime" FORCE)
        endif()
    endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OnnxRuntime REQUIRED_VARS ONNXRUNTIME_LIBRARY ONNXRUNTIME_INCLUDE_DIR)
mark_as_advanced(ONNXRUNTIME_INCLUDE_DIR ONNXRUNTIME_LIBRARY)

if(OnnxRuntime_FOUND AND NOT TARGET OnnxRuntime::OnnxRuntime)
    add_library(OnnxRuntime::OnnxRuntime UNKNOWN IMPORTED)
    set_target_properties(OnnxRuntime::OnnxRuntime PROPERTIES
        IMPORTED_LOCATION "${ONNXRUNTIME_LIBRARY}"
        INTERFACE_INCLUDE_DIRECTORIES "${ONNXRUNTIME_INCLUDE_DIR}")
endif()
