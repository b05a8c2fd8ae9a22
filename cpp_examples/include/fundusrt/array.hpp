// Images, maps and masks in memory: rows of pixels with interleaved channels, without gaps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace fundusrt {

// Leaves new elements as they are: the first touch of fresh memory is most of what a 12-megapixel map costs.
template <typename T>
struct Uninitialised : std::allocator<T> {
    template <typename U>
    struct rebind {
        using other = Uninitialised<U>;
    };
    Uninitialised() = default;
    template <typename U>
    Uninitialised(const Uninitialised<U>&) {}  // NOLINT: allocators convert
    template <typename U>
    void construct(U* place) {
        ::new (static_cast<void*>(place)) U;
    }
    template <typename U, typename... Arguments>
    void construct(U* place, Arguments&&... arguments) {
        ::new (static_cast<void*>(place)) U(std::forward<Arguments>(arguments)...);
    }
};

template <typename T>
using Values = std::vector<T, Uninitialised<T>>;

// (height, width, channels), row-major.
template <typename T>
struct Array {
    int64_t height = 0;
    int64_t width = 0;
    int channels = 1;
    Values<T> values;

    Array() = default;
    // Contents are undefined until written.
    Array(int64_t rows, int64_t columns, int planes = 1)
        : height(rows), width(columns), channels(planes), values(static_cast<size_t>(rows * columns * planes)) {}

    T* row(int64_t y) { return values.data() + static_cast<size_t>(y * width * channels); }
    const T* row(int64_t y) const { return values.data() + static_cast<size_t>(y * width * channels); }
    T* data() { return values.data(); }
    const T* data() const { return values.data(); }
    int64_t pixels() const { return height * width; }
    bool empty() const { return values.empty(); }
};

using Bytes = Array<uint8_t>;
using Words = Array<uint16_t>;
using Map = Array<float>;
// 0 or 255.
using Mask = Array<uint8_t>;

}  // namespace fundusrt
