// Tile values back into one map. Reference: fundusrt/stitching.py.
#pragma once

#include <vector>

#include "fundusrt/array.hpp"
#include "fundusrt/tiling.hpp"

namespace fundusrt {

// Accumulates the tiles of one grid; overlapping values are averaged with equal weight, without overlap each is copied.
class Stitcher {
  public:
    // `memory`: what nobody needs any more; the map is built in it.
    explicit Stitcher(const TileGrid& grid, Values<float> memory = {});

    // Puts one tile's (tile, tile) float32 in place; what lies past the image's end is dropped. Throws
    // Error(kInvalidInput) for a tile that is not of this grid or was added before.
    void add(const Tile& tile, const float* values);

    // The (height, width) map. Throws Error(kInvalidInput) where tiles are missing.
    Map result();

  private:
    TileGrid grid_;
    Map map_;
    std::vector<uint32_t> count_;  // empty without overlap
    std::vector<bool> added_;
};

}  // namespace fundusrt
