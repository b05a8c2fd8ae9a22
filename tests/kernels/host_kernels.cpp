// Every kernel as a host function behind one C entry, which takes a launch as a CUDA driver does: a name, a grid, a
// block, and pointers to the arguments, whose sizes and kinds it checks against the kernel's signature.
#include "cuda_on_host.hpp"

#include <tuple>
#include <type_traits>
#include <utility>

#include "all.cu"

namespace {

enum Result { kOk = 0, kUnknown = 1, kCount = 2, kDeadlock = 3, kArgument = 100 };

uint3 first_block, last_block;  // half open: a part of a grid can be run alone

template <typename T>
constexpr char kind() {
    return std::is_pointer_v<T> ? 'p' : std::is_floating_point_v<T> ? 'f' : std::is_signed_v<T> ? 'i' : 'u';
}

template <typename... A>
struct Call {
    void (*kernel)(A...);
    std::tuple<A...> arguments;

    static void run(void* self) {
        const Call& call = *static_cast<Call*>(self);
        std::apply(call.kernel, call.arguments);
    }
};

template <typename... A, size_t... I>
int launch(void (*kernel)(A...), bool cooperates, void** arguments, const int* sizes, const char* kinds, int count,
           std::index_sequence<I...>) {
    if (count != static_cast<int>(sizeof...(A))) return kCount;
    int wrong = -1;
    ((wrong < 0 && (sizes[I] != static_cast<int>(sizeof(A)) || kinds[I] != kind<A>()) ? void(wrong = I) : void()), ...);
    if (wrong >= 0) return kArgument + wrong;
    Call<A...> call{kernel, {*static_cast<A*>(arguments[I])...}};
    const uint3 part = {last_block.x - first_block.x, last_block.y - first_block.y, last_block.z - first_block.z};
    const uint64_t blocks = static_cast<uint64_t>(part.x) * part.y * part.z;
    const uint64_t threads = static_cast<uint64_t>(blockDim.x) * blockDim.y * blockDim.z;
    for (uint64_t b = 0; b < blocks; ++b) {
        const uint3 offset = host::unravelled(b, blocks, part);
        blockIdx = {first_block.x + offset.x, first_block.y + offset.y, first_block.z + offset.z};
        if (cooperates) {
            if (!host::run_block(&Call<A...>::run, &call)) return kDeadlock;
            continue;
        }
        for (uint64_t t = 0; t < threads; ++t) {
            threadIdx = host::unravelled(t, threads, blockDim);
            Call<A...>::run(&call);
        }
    }
    return kOk;
}

template <typename... A>
int launch(void (*kernel)(A...), bool cooperates, void** arguments, const int* sizes, const char* kinds, int count) {
    return launch(kernel, cooperates, arguments, sizes, kinds, count, std::index_sequence_for<A...>{});
}

}  // namespace

extern "C" void host_backwards(int backwards) { host::backwards = backwards != 0; }

extern "C" int host_launch(const char* name, const unsigned* grid, const unsigned* first, const unsigned* last,
                           const unsigned* block, void** arguments, const int* sizes, const char* kinds, int count) {
    gridDim = {grid[0], grid[1], grid[2]};
    first_block = {first[0], first[1], first[2]};
    last_block = {last[0], last[1], last[2]};
    blockDim = {block[0], block[1], block[2]};
#define ALONE(kernel) \
    if (std::strcmp(name, #kernel) == 0) return launch(kernel, false, arguments, sizes, kinds, count)
#define TOGETHER(kernel) \
    if (std::strcmp(name, #kernel) == 0) return launch(kernel, true, arguments, sizes, kinds, count)
    ALONE(frt_reduce_16);
    ALONE(frt_channels_differ);
    ALONE(frt_pick_channel);
    TOGETHER(frt_clahe_histograms);
    TOGETHER(frt_clahe_luts);
    ALONE(frt_enhance_grey);
    ALONE(frt_rgb_to_lab);
    ALONE(frt_enhance_lab);
    ALONE(frt_enhance_rgb);
    ALONE(frt_shrink_area);
    ALONE(frt_shrink_blocks);
    ALONE(frt_resize_linear);
    ALONE(frt_gather_f32);
    ALONE(frt_gather_f16);
    ALONE(frt_check_range);
    ALONE(frt_stitch);
    TOGETHER(frt_fuse);
    return kUnknown;
}
