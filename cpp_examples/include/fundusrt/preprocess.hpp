// Image to network input; the manifest holds the parameters. Reference: fundusrt/preprocess.py.
#pragma once

#include <array>

#include "fundusrt/array.hpp"
#include "fundusrt/image.hpp"
#include "fundusrt/manifest.hpp"

namespace fundusrt {

// 16 bit to 8 (v / 257 rounded half up, in integers); 8 bit as it is.
Bytes to_8_bit(const FundusImage& image);

// Contrast and gamma, black outside the field of view; a colour image with equal channels becomes grey.
Bytes enhance(const FundusImage& image, const PreprocessSpec& spec);

// Nearest-neighbour resize so that both sides are multiples of the tile size.
Bytes fit_to_grid(const Bytes& pixels, const TileSpec& spec);

// The whole image at the size of the whole-image branch.
Bytes shrink_whole(const Bytes& pixels, const WholeImageSpec& spec);

// out = in^(1/gamma) on [0, 1], rounded half up.
std::array<uint8_t, 256> gamma_table(double gamma);

// Turns windows of 8-bit images into planes of float32.
class Tensors {
  public:
    explicit Tensors(const PreprocessSpec& spec);

    // Writes (channels, height, width) float32 from a window whose top left pixel is (y, x).
    void write(const Bytes& pixels, int64_t y, int64_t x, int64_t height, int64_t width, float* to) const;

  private:
    int channels_;
    std::array<std::array<float, 256>, 3> tables_{};
};

}  // namespace fundusrt
