#include "fundusrt/stitching.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "fundusrt/error.hpp"

namespace fundusrt {

namespace {

bool overlaps(const std::vector<int64_t>& starts, int64_t tile) {
    for (size_t i = 1; i < starts.size(); ++i)
        if (starts[i] - starts[i - 1] < tile) return true;
    return false;
}

}  // namespace

Stitcher::Stitcher(const TileGrid& grid, Values<float> memory)
    : grid_(grid), added_(grid.y_starts.size() * grid.x_starts.size(), false) {
    memory.resize(static_cast<size_t>(grid.height * grid.width));
    map_.height = grid.height;
    map_.width = grid.width;
    map_.values = std::move(memory);
    if (!overlaps(grid.y_starts, grid.tile) && !overlaps(grid.x_starts, grid.tile)) return;
    count_.assign(map_.values.size(), 0);
    std::fill(map_.values.begin(), map_.values.end(), 0.0f);
}

void Stitcher::add(const Tile& tile, const float* values) {
    const auto row = static_cast<size_t>(tile.row), column = static_cast<size_t>(tile.column);
    const bool known = tile.row >= 0 && tile.column >= 0 && row < grid_.y_starts.size() &&
                       column < grid_.x_starts.size() && grid_.y_starts[row] == tile.y0 &&
                       grid_.x_starts[column] == tile.x0;
    const size_t index = row * grid_.x_starts.size() + column;
    if (!known || added_[index])
        throw_invalid_input("tile at row " + std::to_string(tile.row) + ", column " + std::to_string(tile.column),
                            "a tile that was added before or is not of this grid", "each tile of the grid once",
                            "take the tiles from the grid this stitcher was made with");
    added_[index] = true;
    const int64_t height = std::min(tile.y1, grid_.height) - tile.y0, width = std::min(tile.x1, grid_.width) - tile.x0;
    for (int64_t y = 0; y < height; ++y) {
        const float* from = values + y * grid_.tile;
        float* to = map_.row(tile.y0 + y) + tile.x0;
        if (count_.empty()) {
            std::copy_n(from, width, to);
            continue;
        }
        uint32_t* count = count_.data() + (tile.y0 + y) * grid_.width + tile.x0;
        for (int64_t x = 0; x < width; ++x) {
            to[x] += from[x];
            ++count[x];
        }
    }
}

Map Stitcher::result() {
    const auto missing = std::count(added_.begin(), added_.end(), false);
    if (missing != 0)
        throw_invalid_input("stitched map", std::to_string(missing) + " tiles missing", "every tile",
                            "add the missing tiles first");
    for (size_t i = 0; i < count_.size(); ++i) map_.values[i] /= static_cast<float>(count_[i]);
    count_.clear();
    return std::move(map_);
}

}  // namespace fundusrt
