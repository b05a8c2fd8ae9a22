#include "stages/native_enhancement.hpp"

#include <algorithm>
#include <cmath>

#include "fundusrt/preprocess.hpp"

namespace fundusrt {

namespace {

// Clips, rounds and stores the values inside the field of view. The sum is the image's value and the change.
template <typename T>
void put(Bytes& image, int channel, const Array<T>& native, float scale, const Map& change, const Mask& fov) {
    const int stored = native.channels == 1 ? 0 : channel;
    for (int64_t i = 0; i < image.pixels(); ++i) {
        if (fov.data()[i] == 0) continue;
        const float value = static_cast<float>(native.data()[i * native.channels + stored]) * scale + change.data()[i];
        image.data()[3 * i + channel] = static_cast<uint8_t>(std::nearbyint(std::clamp(value, 0.0f, 1.0f) * 255.0f));
    }
}

void put(Bytes& image, int channel, const Map& values, const Mask& fov) {
    for (int64_t i = 0; i < image.pixels(); ++i)
        if (fov.data()[i] != 0)
            image.data()[3 * i + channel] =
                static_cast<uint8_t>(std::nearbyint(std::clamp(values.data()[i], 0.0f, 1.0f) * 255.0f));
}

}  // namespace

Bytes rgb_8_bit(const FundusImage& eye) {
    Bytes pixels = to_8_bit(eye);
    if (pixels.channels == 3) return pixels;
    Bytes made(pixels.height, pixels.width, 3);
    for (int64_t i = 0; i < pixels.pixels(); ++i) std::fill_n(made.data() + 3 * i, 3, pixels.data()[i]);
    return made;
}

Bytes native_enhancement(const FundusImage& eye, const FieldFrame& frame, const Bytes& seen,
                         const Values<float>& enhanced, bool residual) {
    Bytes image = rgb_8_bit(eye);
    const int64_t plane = seen.pixels();
    for (int channel = 0; channel < 3; ++channel) {
        Map values(seen.height, seen.width);
        std::copy_n(enhanced.data() + channel * plane, plane, values.data());
        if (!residual) {
            put(image, channel, frame.to_native(values), eye.fov);
            continue;
        }
        const int stored = seen.channels == 1 ? 0 : channel;
        for (int64_t i = 0; i < plane; ++i)
            values.data()[i] -=
                static_cast<float>(seen.data()[i * seen.channels + stored]) * static_cast<float>(1.0 / 255.0);
        const Map change = frame.to_native(values);
        std::visit(
            [&](const auto& native) {
                put(image, channel, native, static_cast<float>(1.0 / (eye.bits() == 8 ? 255 : 65535)), change, eye.fov);
            },
            eye.pixels);
    }
    return image;
}

}  // namespace fundusrt
