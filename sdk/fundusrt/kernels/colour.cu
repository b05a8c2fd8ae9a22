// Colour images: to Lab, contrast on the lightness, back to RGB, gamma and field of view.
// OpenCV converts 8-bit colours in whole numbers through tables (fundusrt/kernels/tables.py builds them), so these
// kernels give the same bytes for every one of the 2^24 colours.
// Reference: fundusrt/preprocess.py, enhance.
#include "kernels.cuh"
#include "clahe.cuh"

namespace {

// Layout of `tables`, in uint16: see fundusrt/kernels/tables.py.
constexpr int kLinear = 0;               // 256: sRGB byte -> linear light, times 8 * 255
constexpr int kRoot = kLinear + 256;     // 3072: linear light -> Lab's f, times 2^15
constexpr int kLightY = kRoot + 3072;    // 256: lightness -> Y, times 2^14
constexpr int kLightF = kLightY + 256;   // 256: lightness -> f, times 2^14
constexpr int kEncoded = kLightF + 256;  // 4096: linear light -> sRGB byte
constexpr int kBase = 1 << 14;

__device__ inline int descale(int value, int bits) { return (value + (1 << (bits - 1))) >> bits; }

// The inverse of Lab's f, both times 2^14: straight near black, a cube above. Division truncates towards 0.
__device__ inline int from_f(int f) {
    if (f <= 3390) return f * 108 / 841 - kBase * 16 / 116 * 108 / 841;
    return f * f / kBase * f / kBase;
}

}  // namespace

// rgb and lab: (pixels, 3) bytes.
extern "C" __global__ void __launch_bounds__(256)
    frt_rgb_to_lab(const uint8_t* rgb, uint8_t* lab, int64_t pixels, const uint16_t* tables) {
    const int64_t i = frt::thread_index();
    if (i >= pixels) return;
    const int r = tables[kLinear + rgb[3 * i]], g = tables[kLinear + rgb[3 * i + 1]],
              b = tables[kLinear + rgb[3 * i + 2]];
    // sRGB to XYZ over the white point D65, times 2^12.
    const int fx = tables[kRoot + descale(1777 * r + 1541 * g + 778 * b, 12)];
    const int fy = tables[kRoot + descale(871 * r + 2929 * g + 296 * b, 12)];
    const int fz = tables[kRoot + descale(73 * r + 448 * g + 3575 * b, 12)];
    lab[3 * i] = frt::clamp_to_byte(descale(296 * fy - (16 * 255 * (1 << 15) + 50) / 100, 15));
    lab[3 * i + 1] = frt::clamp_to_byte(descale(500 * (fx - fy) + 128 * (1 << 15), 15));
    lab[3 * i + 2] = frt::clamp_to_byte(descale(200 * (fy - fz) + 128 * (1 << 15), 15));
}

// rgb = gamma[to_rgb(equalised lightness, a, b)] inside the field of view, 0 outside. A pixel a thread, grid.y shares
// the rows.
extern "C" __global__ void __launch_bounds__(256)
    frt_enhance_lab(const uint8_t* lab, uint8_t* rgb, int64_t height, int64_t width, const uint8_t* luts,
                    int64_t tile_height, int64_t tile_width, int32_t grid, const uint16_t* tables, const uint8_t* gamma,
                    const uint8_t* field) {
    const int64_t x = frt::thread_index();
    if (x >= width) return;
    const frt::TilePair column = frt::tile_pair(x, 1.0f / static_cast<float>(tile_width), grid);
#pragma unroll 1
    for (int64_t y = blockIdx.y; y < height; y += gridDim.y) {
        const int64_t i = 3 * (y * width + x);
        if (!frt::in_field(field, width, y, x)) {
            rgb[i] = rgb[i + 1] = rgb[i + 2] = 0;
            continue;
        }
        const frt::TilePair row = frt::tile_pair(y, 1.0f / static_cast<float>(tile_height), grid);
        const int light = frt::equalised(lab[i], luts, grid, row, column);
        const int a = lab[i + 1], b = lab[i + 2];
        const int f = tables[kLightF + light], Y = tables[kLightY + light];
        const int X = from_f(f + ((5 * a * 53687 + (1 << 7)) >> 13) - 128 * kBase / 500);
        const int Z = from_f(f - (((b * 41943 + (1 << 4)) >> 9) - 128 * kBase / 200 + 1));
        const int red = descale(12615 * X - 6296 * Y - 2223 * Z, 14);
        const int green = descale(-3773 * X + 7684 * Y + 185 * Z, 14);
        const int blue = descale(217 * X - 836 * Y + 4715 * Z, 14);
        rgb[i] = gamma[tables[kEncoded + frt::larger(0, frt::smaller(4095, red))]];
        rgb[i + 1] = gamma[tables[kEncoded + frt::larger(0, frt::smaller(4095, green))]];
        rgb[i + 2] = gamma[tables[kEncoded + frt::larger(0, frt::smaller(4095, blue))]];
    }
}

// dst = gamma[src] inside the field of view, 0 outside, of an (height, width, 3) image: contrast left as it is.
extern "C" __global__ void __launch_bounds__(256)
    frt_enhance_rgb(const uint8_t* src, uint8_t* dst, int64_t height, int64_t width, const uint8_t* gamma,
                    const uint8_t* field) {
    const int64_t x = frt::thread_index();
    if (x >= width) return;
#pragma unroll 1
    for (int64_t y = blockIdx.y; y < height; y += gridDim.y) {
        const int64_t i = 3 * (y * width + x);
        const bool inside = frt::in_field(field, width, y, x);
        for (int c = 0; c < 3; ++c) dst[i + c] = inside ? gamma[src[i + c]] : 0;
    }
}
