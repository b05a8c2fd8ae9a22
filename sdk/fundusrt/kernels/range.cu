// Whether a network answered what it may: *outside becomes 1 if a value is not in [low, high], or not a number.
// Reference: fundusrt/image_pipeline.py, ImagePipeline._run.
#include "kernels.cuh"
#include "pixel.cuh"

// values: allocated, so aligned to 16 bytes; *outside: 0 before. The order of the writers does not show.
extern "C" __global__ void __launch_bounds__(256)
    frt_check_range(const float* values, int64_t count, float low, float high, uint32_t* outside) {
    bool found = false;
    const int64_t fours = count / 4;
    for (int64_t i = frt::thread_index(); i < fours; i += frt::thread_count()) {
        const float4 v = reinterpret_cast<const float4*>(values)[i];
        // Written so that a NaN, which fails every comparison, counts as outside.
        const bool inside = v.x >= low && v.x <= high && v.y >= low && v.y <= high && v.z >= low && v.z <= high &&
                            v.w >= low && v.w <= high;
        found = found || !inside;
    }
    const int64_t rest = 4 * fours + frt::thread_index();
    if (rest < count) found = found || !(values[rest] >= low && values[rest] <= high);
    if (found) atomicOr(outside, 1u);
}
