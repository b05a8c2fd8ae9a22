/* The stable C interface of FundusRT (C99).
 *
 * Errors: every function that can fail returns a frt_status and sets the calling thread's last error; out-parameters
 * are written on success only. No C++ exception leaves the library.
 * Threads: frt_run and every function that takes a const handle may be called by several threads at a time with one
 * handle; images take turns only inside an engine that has one context. Closing or freeing a handle is for one thread,
 * when no other uses it. A pipeline does not need its bundle any more; a result does not need its pipeline.
 * Memory: images stay the caller's and are not kept. What a frt_result_... function points to belongs to the result and
 * lives until frt_result_free.
 * Versions: structs begin with their size, so that a program compiled against an older header of the same major ABI
 * version keeps working.
 */
#ifndef FUNDUSRT_H
#define FUNDUSRT_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#if defined(FUNDUSRT_BUILDS_C_LIBRARY)
#define FRT_API __declspec(dllexport)
#else
#define FRT_API __declspec(dllimport)
#endif
#else
#define FRT_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Major version in the upper 16 bits: it changes when a program has to be compiled again. */
#define FRT_ABI_VERSION 0x00010000u

/* The numbers are fixed; frt_status_name gives the codes of the Python SDK's errors. */
typedef int32_t frt_status;
enum {
    FRT_OK = 0,
    FRT_ERROR = 1,               /* fundusrt-error: out of memory, or a fault of the library */
    FRT_INVALID_INPUT = 2,       /* invalid-input */
    FRT_OUTPUT_ERROR = 3,        /* output-error */
    FRT_USAGE_ERROR = 4,         /* usage-error: a null pointer, an unknown struct size, another ABI version */
    FRT_BUNDLE_ERROR = 5,        /* bundle-error */
    FRT_CERTIFICATE_ERROR = 6,   /* certificate-error */
    FRT_BACKEND_UNAVAILABLE = 7, /* backend-unavailable */
    FRT_ENGINE_MISMATCH = 8      /* engine-mismatch */
};

typedef struct frt_bundle frt_bundle;
typedef struct frt_pipeline frt_pipeline;
typedef struct frt_result frt_result;

/* Handshake: pass FRT_ABI_VERSION of the header that the program was compiled with, before anything else.
 * FRT_USAGE_ERROR: another major version, or a newer minor one than the library's. */
FRT_API frt_status frt_check_abi(uint32_t compiled_with);
FRT_API uint32_t frt_abi_version(void);

/* "bundle-error" for FRT_BUNDLE_ERROR, "ok" for FRT_OK. */
FRT_API const char* frt_status_name(frt_status status);

/* What the last failed call of this thread was about; "" before any failed. Valid until the thread's next call. */
FRT_API const char* frt_last_error(void);

/* Opens and verifies a bundle folder or .frt file. */
FRT_API frt_status frt_bundle_open(const char* path, frt_bundle** bundle);
FRT_API void frt_bundle_close(frt_bundle* bundle);
FRT_API const char* frt_bundle_name(const frt_bundle* bundle);
FRT_API const char* frt_bundle_sha256(const frt_bundle* bundle);

typedef struct frt_options {
    size_t size;           /* sizeof(frt_options) */
    const char* backend;   /* null: "onnxruntime" */
    const char* device;    /* null: "cpu" */
    const char* precision; /* null: "fp32" */
    int32_t threads;       /* of one network call; 0: one per core. CPU only */
    /* For backend "tensorrt": names of networks and their engine files, engine_count of each. */
    const char* const* engine_networks;
    const char* const* engine_files;
    int32_t engine_count;
} frt_options;

/* options: null for the defaults. Exactly what is asked for runs, or the call fails. */
FRT_API frt_status frt_pipeline_create(const frt_bundle* bundle, const frt_options* options, frt_pipeline** pipeline);
FRT_API void frt_pipeline_destroy(frt_pipeline* pipeline);
FRT_API const char* frt_pipeline_provider(const frt_pipeline* pipeline);

typedef struct frt_image {
    size_t size;            /* sizeof(frt_image) */
    const void* data;       /* grey or RGB, interleaved, full range of the type; 16 bit in the machine's byte order */
    int64_t height;         /* rows, at least 32 */
    int64_t width;          /* columns, at least 32 */
    int32_t channels;       /* 1 or 3 */
    int32_t bits;           /* 8 or 16 */
    ptrdiff_t stride_bytes; /* from row to row; 0: rows without gaps; negative: bottom row first in memory */
    const uint8_t* field;   /* (height, width) without gaps, not 0 inside the field of view; null: it is found */
    double mm_per_px;       /* side of a pixel in millimetres; 0: unknown */
} frt_image;

FRT_API frt_status frt_run(const frt_pipeline* pipeline, const frt_image* image, frt_result** result);
FRT_API void frt_result_free(frt_result* result);

/* 1, or 0 for an image that cannot be graded: its mask is empty. */
FRT_API int32_t frt_result_gradable(const frt_result* result);
FRT_API const char* frt_result_reason(const frt_result* result);

/* Segmentation: (height, width) of 0 and 255; FRT_USAGE_ERROR for an enhancement. */
FRT_API frt_status frt_result_mask(const frt_result* result, const uint8_t** mask, int64_t* height, int64_t* width);
/* Segmentation: (height, width) in [0, 1]. */
FRT_API frt_status frt_result_probability(const frt_result* result, const float** probability, int64_t* height,
                                          int64_t* width);
/* Enhancement: (height, width, 3) RGB; FRT_USAGE_ERROR for a segmentation. */
FRT_API frt_status frt_result_image(const frt_result* result, const uint8_t** rgb, int64_t* height, int64_t* width);

typedef struct frt_lesion {
    int64_t area_px;
    double area_mm2;        /* negative where the scale is unknown */
    int64_t y0, x0, y1, x1; /* half-open box */
    double centroid_y, centroid_x;
    double mean_probability;
} frt_lesion;

/* Largest first. */
FRT_API int64_t frt_result_lesion_count(const frt_result* result);
FRT_API frt_status frt_result_lesion(const frt_result* result, int64_t index, frt_lesion* lesion);

/* Stages in the order that they ran. */
FRT_API int64_t frt_result_timing_count(const frt_result* result);
FRT_API frt_status frt_result_timing(const frt_result* result, int64_t index, const char** stage, double* milliseconds);

#ifdef __cplusplus
}
#endif

#endif
