// Shapes of 0/255 masks: rectangles that grow and shrink them, distances, outlines. Equal to OpenCV's results.
#pragma once

#include "fundusrt/array.hpp"

namespace fundusrt {

// Minimum and maximum over a (2 reach + 1)^2 square; what lies outside the image does not count.
Mask eroded(const Mask& mask, int64_t reach);
Mask dilated(const Mask& mask, int64_t reach);

// Means of 3 x 3 pixels, mirrored at the border without repeating the edge.
Bytes blurred_3x3(const Bytes& image);

// Distance of each pixel that is on to the nearest one that is off, by steps of 1, 1.4 and 2.1969 (5 x 5); 0 where off.
Map distance_to_off(const Mask& mask);

// The larger pieces (8-connected, outline of at least 2 % of the largest one's area and 1 px) with their holes filled.
Mask filled_pieces(const Mask& mask);

// The common convex hull of the same pieces.
Mask filled_hull(const Mask& mask);

}  // namespace fundusrt
