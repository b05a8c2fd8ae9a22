// The whole image at the network's size: OpenCV's 8-bit resize by area and by bilinear interpolation, bit for bit.
// Reference: fundusrt/preprocess.py, shrink_whole. fundusrt/kernels/launches.py chooses the kernel, by OpenCV's rules:
//   area, both sides reduced by whole factors          frt_shrink_blocks
//   area, both sides reduced or kept                   frt_shrink_area
//   area with a side enlarged, and bilinear            frt_resize_linear
// One target pixel a thread, all its channels; target: (target_height, target_width, channels).
#include "kernels.cuh"
#include "pixel.cuh"

namespace {

// The source pixels that target pixel `i` covers on one axis, and their weights: the first and the last may be partly
// covered. Computed in double and rounded to float, as OpenCV does.
struct Cover {
    int64_t first, last;  // half open
    float weight_first, weight_middle, weight_last;

    __device__ float weight(int64_t at) const {
        return at == first ? weight_first : at == last - 1 ? weight_last : weight_middle;
    }
};

__device__ Cover cover(int64_t i, int64_t source, double scale) {
    const double begin = static_cast<double>(i) * scale, end = begin + scale;
    const double size = frt::smaller(scale, static_cast<double>(source) - begin);
    const int64_t whole_last = frt::smaller(static_cast<int64_t>(floor(end)), source - 1);
    const int64_t whole_first = frt::smaller(static_cast<int64_t>(ceil(begin)), whole_last);
    Cover c;
    c.first = whole_first;
    c.last = whole_last;
    c.weight_first = c.weight_middle = c.weight_last = static_cast<float>(1.0 / size);
    if (static_cast<double>(whole_first) - begin > 1e-3) {
        c.first = whole_first - 1;
        c.weight_first = static_cast<float>((static_cast<double>(whole_first) - begin) / size);
        if (c.last == whole_first) c.weight_last = c.weight_first;
    }
    if (end - static_cast<double>(whole_last) > 1e-3) {
        c.last = whole_last + 1;
        const double part = frt::smaller(frt::smaller(end - static_cast<double>(whole_last), 1.0), size);
        c.weight_last = static_cast<float>(part / size);
        if (c.first == whole_last) c.weight_first = c.weight_last;
    }
    return c;
}

template <int kChannels>
__device__ void shrink_area(const uint8_t* src, uint8_t* dst, int64_t height, int64_t width, int64_t target_height,
                            int64_t target_width) {
    const int64_t i = frt::thread_index();
    if (i >= target_height * target_width) return;
    const int64_t row = i / target_width, column = i - row * target_width;
    const Cover rows = cover(row, height, 1.0 / (static_cast<double>(target_height) / static_cast<double>(height)));
    const Cover columns = cover(column, width, 1.0 / (static_cast<double>(target_width) / static_cast<double>(width)));
    float sum[kChannels] = {};
#pragma unroll 1
    for (int64_t y = rows.first; y < rows.last; ++y) {
        float line[kChannels] = {};
#pragma unroll 1
        for (int64_t x = columns.first; x < columns.last; ++x) {
            const float weight = columns.weight(x);
#pragma unroll
            for (int c = 0; c < kChannels; ++c)
                line[c] += static_cast<float>(src[(y * width + x) * kChannels + c]) * weight;
        }
        const float weight = rows.weight(y);
#pragma unroll
        for (int c = 0; c < kChannels; ++c) sum[c] += weight * line[c];
    }
#pragma unroll
    for (int c = 0; c < kChannels; ++c) dst[i * kChannels + c] = frt::round_to_byte(sum[c]);
}

// One axis of bilinear interpolation in whole numbers: two source pixels and weights of 2048.
struct Pair {
    int64_t low, high;
    int32_t weight_low, weight_high;
};

// by_area: OpenCV's coordinates for enlarging by area, where a target pixel inside one source pixel takes its value.
// Otherwise pixel centres; rows keep the weights of a place before the first or behind the last pixel, columns drop
// them: that decides how often OpenCV rounds.
__device__ Pair pair(int64_t i, int64_t source, int64_t target, bool by_area, bool column) {
    const double inverse = static_cast<double>(target) / static_cast<double>(source), scale = 1.0 / inverse;
    int64_t low;
    float fraction;
    if (by_area) {
        low = static_cast<int64_t>(floor(static_cast<double>(i) * scale));
        fraction = static_cast<float>(static_cast<double>(i + 1) - static_cast<double>(low + 1) * inverse);
        fraction = fraction <= 0.0f ? 0.0f : fraction - floorf(fraction);
    } else {
        const float place = static_cast<float>((static_cast<double>(i) + 0.5) * scale - 0.5);
        low = static_cast<int64_t>(floorf(place));
        fraction = place - static_cast<float>(low);
    }
    if (column && low < 0) {
        low = 0;
        fraction = 0.0f;
    }
    if (column && low >= source - 1) {
        low = source - 1;
        fraction = 0.0f;
    }
    Pair p;
    p.low = frt::larger<int64_t>(frt::smaller(low, source - 1), 0);
    p.high = frt::larger<int64_t>(frt::smaller(low + 1, source - 1), 0);
    p.weight_low = static_cast<int32_t>(rintf((1.0f - fraction) * 2048.0f));
    p.weight_high = static_cast<int32_t>(rintf(fraction * 2048.0f));
    return p;
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
    frt_shrink_area(const uint8_t* src, uint8_t* dst, int64_t height, int64_t width, int32_t channels,
                    int64_t target_height, int64_t target_width) {
    if (channels == 1) shrink_area<1>(src, dst, height, width, target_height, target_width);
    if (channels == 3) shrink_area<3>(src, dst, height, width, target_height, target_width);
}

// height and width are whole multiples of the target's.
extern "C" __global__ void __launch_bounds__(256)
    frt_shrink_blocks(const uint8_t* src, uint8_t* dst, int64_t height, int64_t width, int32_t channels,
                      int64_t target_height, int64_t target_width) {
    const int64_t i = frt::thread_index();
    if (i >= target_height * target_width) return;
    const int64_t row = i / target_width, column = i - row * target_width;
    const int64_t rows = height / target_height, columns = width / target_width;
    const float scale = 1.0f / static_cast<float>(rows * columns);
#pragma unroll 1
    for (int c = 0; c < channels; ++c) {
        int sum = 0;
#pragma unroll 1
        for (int64_t y = row * rows; y < (row + 1) * rows; ++y)
#pragma unroll 1
            for (int64_t x = column * columns; x < (column + 1) * columns; ++x)
                sum += src[(y * width + x) * channels + c];
        // A half is rounded up for 2 x 2 blocks, to the even number for all others.
        dst[i * channels + c] = rows == 2 && columns == 2 ? static_cast<uint8_t>((sum + 2) / 4)
                                                          : frt::round_to_byte(static_cast<float>(sum) * scale);
    }
}

extern "C" __global__ void __launch_bounds__(256)
    frt_resize_linear(const uint8_t* src, uint8_t* dst, int64_t height, int64_t width, int32_t channels,
                      int64_t target_height, int64_t target_width, int32_t by_area) {
    const int64_t i = frt::thread_index();
    if (i >= target_height * target_width) return;
    const int64_t row = i / target_width, column = i - row * target_width;
    const Pair rows = pair(row, height, target_height, by_area != 0, false);
    const Pair columns = pair(column, width, target_width, by_area != 0, true);
#pragma unroll 1
    for (int c = 0; c < channels; ++c) {
        const uint8_t* upper = src + rows.low * width * channels + c;
        const uint8_t* lower = src + rows.high * width * channels + c;
        const int32_t top =
            upper[columns.low * channels] * columns.weight_low + upper[columns.high * channels] * columns.weight_high;
        const int32_t bottom =
            lower[columns.low * channels] * columns.weight_low + lower[columns.high * channels] * columns.weight_high;
        // OpenCV drops bits after each of three steps; the result differs from one exact sum.
        const int32_t sum = ((rows.weight_low * (top >> 4)) >> 16) + ((rows.weight_high * (bottom >> 4)) >> 16);
        dst[i * channels + c] = frt::clamp_to_byte((sum + 2) >> 2);
    }
}
