// 16-bit samples to 8, and whether a colour image is a grey one stored in colour.
// Reference: fundusrt/preprocess.py, to_8_bit and _drop_equal_channels.
#include "kernels.cuh"
#include "pixel.cuh"

// dst = (src + 128) / 257 in whole numbers. Four samples a thread; both pointers are allocations, so aligned.
extern "C" __global__ void __launch_bounds__(256) frt_reduce_16(const uint16_t* src, uint8_t* dst, int64_t count) {
    const int64_t first = 4 * frt::thread_index();
    if (first + 4 <= count) {
        const ushort4 v = *reinterpret_cast<const ushort4*>(src + first);
        uchar4 r;
        r.x = static_cast<unsigned char>((v.x + 128u) / 257u);
        r.y = static_cast<unsigned char>((v.y + 128u) / 257u);
        r.z = static_cast<unsigned char>((v.z + 128u) / 257u);
        r.w = static_cast<unsigned char>((v.w + 128u) / 257u);
        *reinterpret_cast<uchar4*>(dst + first) = r;
        return;
    }
    for (int64_t i = first; i < count; ++i) dst[i] = static_cast<uint8_t>((src[i] + 128u) / 257u);
}

// *differ becomes 1 if any pixel has unequal channels; it must be 0 before. The order of the writers does not show.
extern "C" __global__ void __launch_bounds__(256)
    frt_channels_differ(const uint8_t* rgb, int64_t pixels, uint32_t* differ) {
    bool found = false;
    for (int64_t i = frt::thread_index(); i < pixels; i += frt::thread_count()) {
        const uint8_t* p = rgb + 3 * i;
        found = found || p[0] != p[1] || p[1] != p[2];
    }
    if (found) atomicOr(differ, 1u);
}

// grey = one channel of an interleaved image.
extern "C" __global__ void __launch_bounds__(256)
    frt_pick_channel(const uint8_t* rgb, uint8_t* grey, int64_t pixels, int32_t channel) {
    const int64_t i = frt::thread_index();
    if (i < pixels) grey[i] = rgb[3 * i + channel];
}
