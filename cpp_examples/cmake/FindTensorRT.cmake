# TensorRT or TensorRT for RTX, whichever headers are found: TensorRT::TensorRT. Looked for in TENSORRT_ROOT and
# TRTRTX_INSTALL_DIR (variables or in the environment) and where the system keeps them.
find_path(TENSORRT_INCLUDE_DIR NvInfer.h
    HINTS ${TENSORRT_ROOT} $ENV{TENSORRT_ROOT} ${TRTRTX_INSTALL_DIR} $ENV{TRTRTX_INSTALL_DIR}
    PATH_SUFFIXES include)
if(TENSORRT_INCLUDE_DIR)
    file(STRINGS "${TENSORRT_INCLUDE_DIR}/NvInferVersion.h" _tensorrt_lines REGEX "#define (TRT_MAJOR|NV_TENSORRT_MAJOR|TRT_MINOR)")
    if(_tensorrt_lines MATCHES "MAJOR_RTX[ \t]+([0-9]+)")
        set(TENSORRT_FLAVOUR rtx)
        set(_tensorrt_names tensorrt_rtx tensorrt_rtx_${CMAKE_MATCH_1})
    else()
        set(TENSORRT_FLAVOUR enterprise)
        set(_tensorrt_names nvinfer)
        if(_tensorrt_lines MATCHES "MAJOR[A-Z_]*[ \t]+([0-9]+)")
            list(APPEND _tensorrt_names nvinfer_${CMAKE_MATCH_1})
        endif()
    endif()
    find_library(TENSORRT_LIBRARY NAMES ${_tensorrt_names}
        HINTS ${TENSORRT_ROOT} $ENV{TENSORRT_ROOT} ${TRTRTX_INSTALL_DIR} $ENV{TRTRTX_INSTALL_DIR} PATH_SUFFIXES lib lib64)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(TensorRT REQUIRED_VARS TENSORRT_LIBRARY TENSORRT_INCLUDE_DIR)
mark_as_advanced(TENSORRT_INCLUDE_DIR TENSORRT_LIBRARY)

if(TensorRT_FOUND AND NOT TARGET TensorRT::TensorRT)
    add_library(TensorRT::TensorRT UNKNOWN IMPORTED)
    set_target_properties(TensorRT::TensorRT PROPERTIES
        IMPORTED_LOCATION "${TENSORRT_LIBRARY}"
        INTERFACE_INCLUDE_DIRECTORIES "${TENSORRT_INCLUDE_DIR}")
endif()
