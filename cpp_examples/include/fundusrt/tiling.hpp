// Tile geometry: which windows cover an image, without touching a pixel. Reference: fundusrt/tiling.py.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "fundusrt/manifest.hpp"

namespace fundusrt {

// One window: grid position and half-open pixel range.
struct Tile {
    int64_t row, column;
    int64_t y0, x0, y1, x1;
};

// A full cover of an image by equal square tiles, row-major.
struct TileGrid {
    int64_t height = 0, width = 0, tile = 0, overlap = 0;
    std::vector<int64_t> y_starts, x_starts;

    // The fewest tiles that overlap by at least `overlap` px, evenly spread. An axis shorter than `tile` gets one tile
    // that reaches past the image's end. Throws Error(kInvalidInput).
    static TileGrid cover(int64_t height, int64_t width, int64_t tile = 512, int64_t overlap = 0);

    std::vector<Tile> tiles() const;
};

// The multiple-of-`tile` size (height, width) an image is resized to; never below one tile.
std::pair<int64_t, int64_t> grid_size(int64_t height, int64_t width, int64_t tile, Rounding rounding);

}  // namespace fundusrt
