#include "fundusrt/tiling.hpp"

#include <algorithm>
#include <string>

#include "fundusrt/error.hpp"

namespace fundusrt {

namespace {

// Evenly spread starts; the first is 0 and the last tile ends flush with the image.
std::vector<int64_t> starts(int64_t length, int64_t tile, int64_t overlap) {
    if (length <= tile) return {0};
    const int64_t step = tile - overlap, count = (length - overlap + step - 1) / step;
    std::vector<int64_t> made;
    for (int64_t i = 0; i < count; ++i) made.push_back(i * (length - tile) / (count - 1));
    return made;
}

int64_t rounded(int64_t length, int64_t tile, Rounding rounding) {
    const int64_t count = rounding == Rounding::kNearest ? (2 * length + tile) / (2 * tile)
                          : rounding == Rounding::kCeil  ? (length + tile - 1) / tile
                                                         : length / tile;
    return std::max<int64_t>(1, count) * tile;
}

void check(int64_t height, int64_t width, int64_t tile) {
    if (height < 1 || width < 1 || tile < 1)
        throw_invalid_input("size", std::to_string(std::min({height, width, tile})) + " px", "at least 1 px",
                            "give a size in px");
}

}  // namespace

TileGrid TileGrid::cover(int64_t height, int64_t width, int64_t tile, int64_t overlap) {
    check(height, width, tile);
    if (overlap < 0 || overlap >= tile)
        throw_invalid_input("overlap " + std::to_string(overlap) + " px", "tile " + std::to_string(tile) + " px",
                            "0 <= overlap < tile", "try " + std::to_string(tile / 8));
    return {height, width, tile, overlap, starts(height, tile, overlap), starts(width, tile, overlap)};
}

std::vector<Tile> TileGrid::tiles() const {
    std::vector<Tile> made;
    for (size_t row = 0; row < y_starts.size(); ++row)
        for (size_t column = 0; column < x_starts.size(); ++column) {
            const int64_t y0 = y_starts[row], x0 = x_starts[column];
            made.push_back({static_cast<int64_t>(row), static_cast<int64_t>(column), y0, x0, y0 + tile, x0 + tile});
        }
    return made;
}

std::pair<int64_t, int64_t> grid_size(int64_t height, int64_t width, int64_t tile, Rounding rounding) {
    check(height, width, tile);
    return {rounded(height, tile, rounding), rounded(width, tile, rounding)};
}

}  // namespace fundusrt
