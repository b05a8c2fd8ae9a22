// The C interface over the C++ one: handles, structs with a size, and no exception that crosses it.
#include <cstring>
#include <new>
#include <string>

#include "fundusrt/bundle.hpp"
#include "fundusrt/error.hpp"
#include "fundusrt/fundusrt.h"
#include "fundusrt/pipeline.hpp"

struct frt_bundle {
    fundusrt::Bundle bundle;
};

struct frt_pipeline {
    std::unique_ptr<fundusrt::Pipeline> pipeline;
};

struct frt_result {
    fundusrt::Result result;
};

namespace {

thread_local std::string last_error;

frt_status failed(frt_status status, const char* text) noexcept {
    try {
        last_error = text;
    } catch (...) {
        last_error.clear();
    }
    return status;
}

template <typename Work>
frt_status guarded(Work work) noexcept {
    try {
        work();
        return FRT_OK;
    } catch (const fundusrt::Error& error) {
        return failed(static_cast<frt_status>(error.code()), error.what());
    } catch (const std::bad_alloc&) {
        return failed(FRT_ERROR, "out of memory");
    } catch (const std::exception& error) {
        return failed(FRT_ERROR, error.what());
    } catch (...) {
        return failed(FRT_ERROR, "an unknown failure");
    }
}

void need(bool holds, const char* subject, const char* expected) {
    if (!holds) throw fundusrt::Error(fundusrt::ErrorCode::kUsage, subject, "", expected, "see fundusrt.h");
}

std::string text_or(const char* given, const char* otherwise) {
    return given == nullptr ? otherwise : given;
}

fundusrt::BackendOptions options_of(const frt_options* given) {
    fundusrt::BackendOptions options;
    if (given == nullptr) return options;
    need(given->size == sizeof(frt_options), "options", "size = sizeof(frt_options)");
    options.backend = text_or(given->backend, "onnxruntime");
    options.device = text_or(given->device, "cpu");
    options.precision = text_or(given->precision, "fp32");
    options.threads = given->threads;
    for (int32_t i = 0; i < given->engine_count; ++i) {
        need(given->engine_networks != nullptr && given->engine_files != nullptr &&
                 given->engine_networks[i] != nullptr && given->engine_files[i] != nullptr,
             "options", "a network and a file for each engine");
        options.engines[given->engine_networks[i]] = given->engine_files[i];
    }
    return options;
}

template <typename T>
void point_at(const frt_result* result, const fundusrt::Array<T> fundusrt::Result::*member, const char* kind,
              const T** data, int64_t* height, int64_t* width) {
    need(result != nullptr && data != nullptr && height != nullptr && width != nullptr, kind, "no null pointer");
    const fundusrt::Array<T>& array = result->result.*member;
    need(!array.empty(), kind, "a result of the system that has one");
    *data = array.data();
    *height = array.height;
    *width = array.width;
}

}  // namespace

extern "C" {

frt_status frt_check_abi(uint32_t compiled_with) {
    return guarded([&] {
        need(compiled_with >> 16 == FRT_ABI_VERSION >> 16 && compiled_with <= FRT_ABI_VERSION, "ABI version",
             "the major version of this library, and no newer one");
    });
}

uint32_t frt_abi_version(void) {
    return FRT_ABI_VERSION;
}

const char* frt_status_name(frt_status status) {
    return status == FRT_OK ? "ok" : fundusrt::code_name(static_cast<fundusrt::ErrorCode>(status));
}

const char* frt_last_error(void) {
    return last_error.c_str();
}

frt_status frt_bundle_open(const char* path, frt_bundle** bundle) {
    return guarded([&] {
        need(path != nullptr && bundle != nullptr, "frt_bundle_open", "no null pointer");
        *bundle = new frt_bundle{fundusrt::Bundle::open(path)};
    });
}

void frt_bundle_close(frt_bundle* bundle) {
    delete bundle;
}

const char* frt_bundle_name(const frt_bundle* bundle) {
    return bundle == nullptr ? "" : bundle->bundle.manifest().name.c_str();
}

const char* frt_bundle_sha256(const frt_bundle* bundle) {
    return bundle == nullptr ? "" : bundle->bundle.sha256().c_str();
}

frt_status frt_pipeline_create(const frt_bundle* bundle, const frt_options* options, frt_pipeline** pipeline) {
    return guarded([&] {
        need(bundle != nullptr && pipeline != nullptr, "frt_pipeline_create", "no null pointer");
        *pipeline = new frt_pipeline{fundusrt::Pipeline::open(bundle->bundle, options_of(options))};
    });
}

void frt_pipeline_destroy(frt_pipeline* pipeline) {
    delete pipeline;
}

const char* frt_pipeline_provider(const frt_pipeline* pipeline) {
    return pipeline == nullptr ? "" : pipeline->pipeline->provider().c_str();
}

frt_status frt_run(const frt_pipeline* pipeline, const frt_image* image, frt_result** result) {
    return guarded([&] {
        need(pipeline != nullptr && image != nullptr && result != nullptr, "frt_run", "no null pointer");
        need(image->size == sizeof(frt_image), "image", "size = sizeof(frt_image)");
        fundusrt::ImageView view;
        view.data = image->data;
        view.height = image->height;
        view.width = image->width;
        view.channels = image->channels;
        view.bits = image->bits;
        view.stride_bytes = image->stride_bytes;
        view.field = image->field;
        view.mm_per_px = image->mm_per_px;
        *result = new frt_result{pipeline->pipeline->run(view)};
    });
}

void frt_result_free(frt_result* result) {
    delete result;
}

int32_t frt_result_gradable(const frt_result* result) {
    return result != nullptr && result->result.gradable ? 1 : 0;
}

const char* frt_result_reason(const frt_result* result) {
    return result == nullptr ? "" : result->result.reason.c_str();
}

frt_status frt_result_mask(const frt_result* result, const uint8_t** mask, int64_t* height, int64_t* width) {
    return guarded([&] { point_at(result, &fundusrt::Result::mask, "mask", mask, height, width); });
}

frt_status frt_result_probability(const frt_result* result, const float** probability, int64_t* height,
                                  int64_t* width) {
    return guarded(
        [&] { point_at(result, &fundusrt::Result::probability, "probability", probability, height, width); });
}

frt_status frt_result_image(const frt_result* result, const uint8_t** rgb, int64_t* height, int64_t* width) {
    return guarded([&] { point_at(result, &fundusrt::Result::image, "image", rgb, height, width); });
}

int64_t frt_result_lesion_count(const frt_result* result) {
    return result == nullptr ? 0 : static_cast<int64_t>(result->result.lesions.size());
}

frt_status frt_result_lesion(const frt_result* result, int64_t index, frt_lesion* lesion) {
    return guarded([&] {
        need(lesion != nullptr && index >= 0 && index < frt_result_lesion_count(result), "lesion",
             "an index below frt_result_lesion_count");
        const fundusrt::Lesion& from = result->result.lesions[static_cast<size_t>(index)];
        *lesion = {from.area_px,    from.area_mm2,        from.y0, from.x0, from.y1, from.x1, from.centroid_y,
                   from.centroid_x, from.mean_probability};
    });
}

int64_t frt_result_timing_count(const frt_result* result) {
    return result == nullptr ? 0 : static_cast<int64_t>(result->result.timings_ms.size());
}

frt_status frt_result_timing(const frt_result* result, int64_t index, const char** stage, double* milliseconds) {
    return guarded([&] {
        need(stage != nullptr && milliseconds != nullptr && index >= 0 && index < frt_result_timing_count(result),
             "timing", "an index below frt_result_timing_count");
        const auto& timing = result->result.timings_ms[static_cast<size_t>(index)];
        *stage = timing.first.c_str();
        *milliseconds = timing.second;
    });
}

}  // extern "C"
