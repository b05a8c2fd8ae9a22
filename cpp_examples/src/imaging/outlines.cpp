// Outlines of pieces of a mask, filled as they are or as their convex hull: what OpenCV's findContours (outer ones),
// contourArea, convexHull and drawContours (filled) give together.
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "imaging/components.hpp"
#include "imaging/morphology.hpp"

namespace fundusrt {

namespace {

constexpr double kLeastPiece = 0.02;  // of the largest piece: smaller ones are dust or lettering

struct Point {
    int64_t x, y;
};

constexpr Point kAround[8] = {{1, 0}, {1, 1}, {0, 1}, {-1, 1}, {-1, 0}, {-1, -1}, {0, -1}, {1, -1}};

// Everything but what is connected to the frame's outside by off pixels, side to side.
Mask without_holes(const Mask& mask) {
    const std::vector<Run> runs = connected_runs(mask, false, false);
    std::vector<bool> outside(runs.size(), false);
    for (const Run& run : runs)
        if (run.y == 0 || run.y == mask.height - 1 || run.begin == 0 || run.end == mask.width)
            outside[run.label] = true;
    Mask made(mask.height, mask.width);
    std::fill(made.values.begin(), made.values.end(), uint8_t{255});
    for (const Run& run : runs)
        if (outside[run.label]) std::fill(made.row(run.y) + run.begin, made.row(run.y) + run.end, uint8_t{0});
    return made;
}

// Area inside the polygon through the centres of the border pixels, followed clockwise from the first pixel in reading
// order.
double outline_area(const Mask& mask, Point start) {
    const auto on = [&](Point p) {
        return p.x >= 0 && p.y >= 0 && p.x < mask.width && p.y < mask.height && mask.row(p.y)[p.x] != 0;
    };
    const auto next = [&](Point here, size_t from, size_t& way) {
        for (size_t k = 0; k < 8; ++k) {
            way = (from + k) % 8;
            if (on({here.x + kAround[way].x, here.y + kAround[way].y})) return true;
        }
        return false;
    };
    size_t way = 0;
    // Nothing lies above the first pixel nor left of it: the search begins at the right, clockwise.
    if (!next(start, 0, way)) return 0;
    const size_t first_way = way;
    double twice = 0;
    Point here = start;
    do {
        const Point to = {here.x + kAround[way].x, here.y + kAround[way].y};
        twice += static_cast<double>(here.x * to.y - to.x * here.y);
        here = to;
        next(here, (way + 6) % 8, way);
    } while (here.x != start.x || here.y != start.y || way != first_way);
    return std::abs(twice) / 2;
}

// The runs of the pieces that count.
std::vector<Run> larger_pieces(const Mask& whole) {
    std::vector<Run> runs = connected_runs(whole, true, true);
    std::vector<double> areas(runs.size(), -1.0);
    double largest = 0;
    for (const Run& run : runs) {
        if (areas[run.label] >= 0) continue;  // only a piece's first run begins with its first pixel
        areas[run.label] = outline_area(whole, {run.begin, run.y});
        largest = std::max(largest, areas[run.label]);
    }
    const double least = std::max(kLeastPiece * largest, 1.0);
    runs.erase(std::remove_if(runs.begin(), runs.end(), [&](const Run& run) { return areas[run.label] < least; }),
               runs.end());
    return runs;
}

int64_t turn(Point a, Point b, Point c) {
    return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
}

// Corners only (Andrew's monotone chain).
std::vector<Point> convex_hull(std::vector<Point> points) {
    std::sort(points.begin(), points.end(), [](Point a, Point b) { return a.x != b.x ? a.x < b.x : a.y < b.y; });
    std::vector<Point> hull;
    if (points.size() < 2) return points;
    for (int side = 0; side < 2; ++side) {
        const size_t floor = hull.size() + 1;
        for (const Point& p : points) {
            while (hull.size() > floor && turn(hull[hull.size() - 2], hull.back(), p) <= 0) hull.pop_back();
            hull.push_back(p);
        }
        hull.pop_back();
        std::reverse(points.begin(), points.end());
    }
    return hull;
}

// Bresenham's line, 8-connected, always from the left.
void draw_line(Mask& mask, Point a, Point b) {
    if (b.x < a.x) std::swap(a, b);
    const int64_t across = b.x - a.x, down = std::llabs(b.y - a.y), way = b.y < a.y ? -1 : 1;
    const bool steep = down > across;
    const int64_t longer = std::max(across, down), shorter = std::min(across, down);
    int64_t error = longer - 2 * shorter;
    for (int64_t i = 0; i <= longer; ++i) {
        mask.row(a.y)[a.x] = 255;
        const bool both = error < 0;
        error += (both ? 2 * longer : 0) - 2 * shorter;
        a.x += !steep || both ? 1 : 0;
        a.y += steep || both ? way : 0;
    }
}

// Scan lines between edges in 16-bit fixed point, and the edges themselves.
void fill_convex(Mask& mask, const std::vector<Point>& corners) {
    constexpr int kShift = 16;
    constexpr int64_t kOne = 1 << kShift;
    struct Span {
        int64_t x[2];
        int count = 0;
    };
    std::vector<Span> spans(static_cast<size_t>(mask.height));
    for (size_t i = 0; i < corners.size(); ++i) {
        Point a = corners[i == 0 ? corners.size() - 1 : i - 1], b = corners[i];
        draw_line(mask, a, b);
        if (a.y == b.y) continue;
        const int64_t slope = (b.x - a.x) * kOne / (b.y - a.y);
        if (a.y > b.y) std::swap(a, b);
        for (int64_t y = a.y; y < b.y; ++y) {
            Span& span = spans[static_cast<size_t>(y)];
            if (span.count < 2) span.x[span.count++] = a.x * kOne + (y - a.y) * slope;
        }
    }
    for (int64_t y = 0; y < mask.height; ++y) {
        const Span& span = spans[static_cast<size_t>(y)];
        if (span.count < 2) continue;
        const int64_t low = std::min(span.x[0], span.x[1]), high = std::max(span.x[0], span.x[1]);
        for (int64_t x = (low + kOne - 1) >> kShift; x <= high >> kShift; ++x) mask.row(y)[x] = 255;
    }
}

}  // namespace

Mask filled_pieces(const Mask& mask) {
    const Mask whole = without_holes(mask);
    Mask made(mask.height, mask.width);
    std::fill(made.values.begin(), made.values.end(), uint8_t{0});
    for (const Run& run : larger_pieces(whole))
        std::fill(made.row(run.y) + run.begin, made.row(run.y) + run.end, uint8_t{255});
    return made;
}

Mask filled_hull(const Mask& mask) {
    // A hull's corners are among the ends of runs; the rest of a row is dropped when the hull is made.
    std::vector<Point> points;
    for (const Run& run : larger_pieces(without_holes(mask)))
        points.insert(points.end(), {{run.begin, run.y}, {run.end - 1, run.y}});
    Mask made(mask.height, mask.width);
    std::fill(made.values.begin(), made.values.end(), uint8_t{0});
    if (!points.empty()) fill_convex(made, convex_hull(std::move(points)));
    return made;
}

}  // namespace fundusrt
