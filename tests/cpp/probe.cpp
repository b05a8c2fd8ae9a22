// Single stages of the library behind C functions, for the tests that compare them with Python's (library.py).
#include <algorithm>
#include <cstring>
#include <string>

#include "fundusrt/bundle.hpp"
#include "fundusrt/cgnr.hpp"
#include "fundusrt/error.hpp"
#include "fundusrt/field_of_view.hpp"
#include "fundusrt/fusion.hpp"
#include "fundusrt/pipeline.hpp"
#include "fundusrt/preprocess.hpp"
#include "fundusrt/sha256.hpp"
#include "fundusrt/stitching.hpp"
#include "imaging/clahe.hpp"
#include "imaging/morphology.hpp"
#include "imaging/resize.hpp"

using namespace fundusrt;

#define PROBE extern "C" __attribute__((visibility("default")))

namespace {

template <typename T>
Array<T> taken(const T* from, int64_t height, int64_t width, int channels = 1) {
    Array<T> made(height, width, channels);
    std::copy_n(from, made.values.size(), made.data());
    return made;
}

template <typename T>
void give(const Array<T>& made, T* to) {
    std::copy(made.values.begin(), made.values.end(), to);
}

FundusImage image_of(const void* pixels, const uint8_t* field, int64_t height, int64_t width, int channels, int bits) {
    ImageView view;
    view.data = pixels;
    view.height = height;
    view.width = width;
    view.channels = channels;
    view.bits = bits;
    view.field = field;
    return from_view(view);
}

// Runs and returns 0, or the error's code.
template <typename Work>
int code_of(Work work) {
    try {
        work();
        return 0;
    } catch (const Error& error) {
        return static_cast<int>(error.code());
    }
}

}  // namespace

PROBE void probe_sha256(const void* data, int64_t size, char* digest) {
    std::memcpy(digest, sha256(data, static_cast<size_t>(size)).data(), 64);
}

PROBE void probe_resize(const uint8_t* from, int64_t height, int64_t width, int channels, uint8_t* to,
                        int64_t to_height, int64_t to_width, int interpolation) {
    give(resize(taken(from, height, width, channels), to_height, to_width, static_cast<Interpolation>(interpolation)),
         to);
}

PROBE void probe_resize_float(const float* from, int64_t height, int64_t width, float* to, int64_t to_height,
                              int64_t to_width) {
    give(resize_bilinear(taken(from, height, width), to_height, to_width), to);
}

PROBE void probe_averaged(const void* from, int bits, int64_t height, int64_t width, int channels, int64_t factor,
                          void* to) {
    if (bits == 8)
        give(averaged(taken(static_cast<const uint8_t*>(from), height, width, channels), factor),
             static_cast<uint8_t*>(to));
    else
        give(averaged(taken(static_cast<const uint16_t*>(from), height, width, channels), factor),
             static_cast<uint16_t*>(to));
}

PROBE void probe_shape(const uint8_t* from, int64_t height, int64_t width, const char* operation, int64_t reach,
                       uint8_t* to) {
    const Mask mask = taken(from, height, width);
    const std::string name = operation;
    if (name == "erode") give(eroded(mask, reach), to);
    if (name == "dilate") give(dilated(mask, reach), to);
    if (name == "blur") give(blurred_3x3(mask), to);
    if (name == "pieces") give(filled_pieces(mask), to);
    if (name == "hull") give(filled_hull(mask), to);
}

PROBE void probe_distance(const uint8_t* from, int64_t height, int64_t width, float* to) {
    give(distance_to_off(taken(from, height, width)), to);
}

PROBE void probe_field(const void* pixels, int64_t height, int64_t width, int channels, int bits, uint8_t* to) {
    if (bits == 8)
        give(find_field_of_view(taken(static_cast<const uint8_t*>(pixels), height, width, channels)), to);
    else
        give(find_field_of_view(taken(static_cast<const uint16_t*>(pixels), height, width, channels)), to);
}

PROBE void probe_lab_tables(uint16_t* to) {
    std::copy(lab_tables().begin(), lab_tables().end(), to);
}

PROBE void probe_gamma_table(double gamma, uint8_t* to) {
    const auto table = gamma_table(gamma);
    std::copy(table.begin(), table.end(), to);
}

// Returns the channels of the result; `to` has room for those of the image.
PROBE int probe_enhance(const void* pixels, const uint8_t* field, int64_t height, int64_t width, int channels, int bits,
                        double clip, int grid, double gamma, uint8_t* to) {
    PreprocessSpec spec;
    if (grid != 0) spec.clahe = ClaheSpec{clip, grid};
    spec.gamma = gamma;
    const Bytes made = enhance(image_of(pixels, field, height, width, channels, bits), spec);
    give(made, to);
    return made.channels;
}

PROBE void probe_tensor(const uint8_t* pixels, int64_t height, int64_t width, int channels, int planes,
                        const double* mean, const double* deviation, float* to) {
    PreprocessSpec spec;
    spec.channels = planes;
    std::copy_n(mean, 3, spec.mean.begin());
    std::copy_n(deviation, 3, spec.std.begin());
    Tensors(spec).write(taken(pixels, height, width, channels), 0, 0, height, width, to);
}

// Six numbers a tile: row, column, y0, x0, y1, x1, tiles in reading order, at most `room` tiles; returns their number,
// or minus the error's code.
PROBE int64_t probe_tiles(int64_t height, int64_t width, int64_t tile, int64_t overlap, int64_t room, int64_t* to) {
    int64_t count = 0;
    const int code = code_of([&] {
        for (const Tile& each : TileGrid::cover(height, width, tile, overlap).tiles()) {
            if (++count > room) continue;
            for (const int64_t number : {each.row, each.column, each.y0, each.x0, each.y1, each.x1}) *to++ = number;
        }
    });
    return code == 0 ? count : -code;
}

PROBE void probe_grid_size(int64_t height, int64_t width, int64_t tile, int rounding, int64_t* to) {
    const auto [rows, columns] = grid_size(height, width, tile, static_cast<Rounding>(rounding));
    to[0] = rows;
    to[1] = columns;
}

PROBE void probe_stitch(const float* tiles, int64_t height, int64_t width, int64_t tile, int64_t overlap, float* to) {
    const TileGrid grid = TileGrid::cover(height, width, tile, overlap);
    Stitcher stitcher(grid);
    for (const Tile& each : grid.tiles()) {
        stitcher.add(each, tiles);
        tiles += tile * tile;
    }
    give(stitcher.result(), to);
}

PROBE int probe_cgnr(const uint8_t* base, const uint8_t* guide, int64_t height, int64_t width, int mode, uint8_t* to) {
    return code_of(
        [&] { give(cgnr(taken(base, height, width), taken(guide, height, width), static_cast<CgnrMode>(mode)), to); });
}

PROBE int probe_fuse(const float* small, const float* large, int64_t height, int64_t width, double threshold,
                     double w_large, int order, int enabled, int mode, float* to) {
    return code_of([&] {
        FusionSpec spec;
        spec.threshold = threshold;
        spec.w_large = w_large;
        spec.order = static_cast<FusionOrder>(order);
        spec.cgnr_enabled = enabled != 0;
        spec.cgnr_mode = static_cast<CgnrMode>(mode);
        Map p = taken(small, height, width);
        fuse_into(p, taken(large, height, width), spec);
        give(p, to);
    });
}

// Nine numbers a lesion; returns their number.
PROBE int64_t probe_lesions(const uint8_t* mask, const float* probability, int64_t height, int64_t width,
                            double mm_per_px, int64_t room, double* to) {
    const auto lesions = find_lesions(taken(mask, height, width), taken(probability, height, width), mm_per_px);
    for (size_t i = 0; i < lesions.size() && static_cast<int64_t>(i) < room; ++i) {
        const Lesion& each = lesions[i];
        const double row[9] = {static_cast<double>(each.area_px),
                               each.area_mm2,
                               static_cast<double>(each.y0),
                               static_cast<double>(each.x0),
                               static_cast<double>(each.y1),
                               static_cast<double>(each.x1),
                               each.centroid_y,
                               each.centroid_x,
                               each.mean_probability};
        std::copy_n(row, 9, to + 9 * i);
    }
    return static_cast<int64_t>(lesions.size());
}

// A pipeline with its bundle, for arrays between stages.
struct Probe {
    Bundle bundle;
    std::unique_ptr<Pipeline> pipeline;
    std::map<std::string, Bytes> arrays;
    Result result;
};

PROBE Probe* probe_open(const char* path) {
    Bundle bundle = Bundle::open(path);
    auto pipeline = Pipeline::open(bundle);
    return new Probe{std::move(bundle), std::move(pipeline), {}, {}};
}

PROBE void probe_close(Probe* probe) {
    delete probe;
}

// Pre-processes an image; probe_array then gives each array by stage: size (height, width, channels) and pixels.
PROBE void probe_preprocess(Probe* probe, const void* pixels, int64_t height, int64_t width, int channels, int bits) {
    probe->arrays = probe->pipeline->preprocessed(image_of(pixels, nullptr, height, width, channels, bits));
}

PROBE const uint8_t* probe_array(Probe* probe, const char* stage, int64_t* size) {
    const Bytes& array = probe->arrays.at(stage);
    size[0] = array.height;
    size[1] = array.width;
    size[2] = array.channels;
    return array.data();
}
