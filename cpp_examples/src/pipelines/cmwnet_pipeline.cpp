// CMWNet on one image. Reference: fundusrt/pipeline.py.
//
//     enhance -> +- shrink_whole -> large network -> upsample ----+-> fuse (CGNR inside) -> mask -> lesions
//                +- fit_to_grid -> tiles -> small -> Stitcher ----+
#include <algorithm>
#include <cmath>

#include "fundusrt/fusion.hpp"
#include "fundusrt/preprocess.hpp"
#include "fundusrt/stitching.hpp"
#include "imaging/resize.hpp"
#include "pipelines/segmentation.hpp"
#include "pipelines/stage_timer.hpp"
#include "pipelines/systems.hpp"

namespace fundusrt {

namespace {

// A power of two, so that 1 - margin and 1 - (1 - margin) are exact in float32.
constexpr float kLogitMargin = 1.0f / (1 << 20);

constexpr size_t kMostKept = 64 * 1024 * 1024 / sizeof(float);  // enough for a 16-megapixel map

// One map's memory from image to image, each thread its own: the first touch of fresh memory is what a map costs.
thread_local Values<float> kept;

class CmwnetPipeline final : public Pipeline {
  public:
    CmwnetPipeline(const Bundle& bundle, Sessions sessions)
        : Pipeline(bundle, std::move(sessions)), tensors_(manifest_.preprocess) {}

    std::map<std::string, Bytes> preprocessed(const FundusImage& eye) const override {
        const Bytes enhanced = enhance(eye, manifest_.preprocess);
        return {{"grid", fit_to_grid(enhanced, manifest_.tile)},
                {"whole", shrink_whole(enhanced, manifest_.whole_image)}};
    }

    Result run(const FundusImage& eye) const override {
        StageTimer timer;
        Result result = begin(eye);
        if (!result.gradable) return ungradable(std::move(result), eye);
        Bytes whole, on_grid;
        timer.stage("preprocess", [&] {
            const Bytes enhanced = enhance(eye, manifest_.preprocess);
            whole = shrink_whole(enhanced, manifest_.whole_image);
            on_grid = fit_to_grid(enhanced, manifest_.tile);
        });
        const Map p_whole = timer.stage("network_large", [&] { return run_whole(whole); });
        Map p_grid = run_tiles(on_grid, timer, result.tiles);
        Map p_large;
        timer.stage("upsample", [&] {
            Values<float> spare;
            if (p_grid.height == eye.height() && p_grid.width == eye.width()) {
                result.probability = std::move(p_grid);
            } else {
                result.probability = upsample(p_grid, eye.height(), eye.width(), {});
                spare = std::move(p_grid.values);
            }
            p_large = upsample(p_whole, eye.height(), eye.width(), std::move(spare));
        });
        timer.stage("fuse", [&] {
            fuse_into(result.probability, p_large, manifest_.fusion);
            make_mask(result, eye, manifest_.fusion.threshold);
            if (p_large.values.capacity() <= kMostKept) kept = std::move(p_large.values);
        });
        timer.stage("lesions", [&] { result.lesions = find_lesions(result.mask, result.probability, eye.mm_per_px); });
        result.timings_ms = std::move(timer.ms);
        return result;
    }

  private:
    Map run_whole(const Bytes& whole) const {
        const int64_t side = manifest_.whole_image.size;
        Values<float> feed(static_cast<size_t>(manifest_.preprocess.channels * side * side));
        tensors_.write(whole, 0, 0, side, side, feed.data());
        Map made(side, side);
        made.values = answer("large", feed, {1, manifest_.preprocess.channels, side, side}, 0.0f, 1.0f);
        return made;
    }

    Map run_tiles(const Bytes& on_grid, StageTimer& timer, int64_t& count) const {
        const int64_t side = manifest_.tile.size;
        const TileGrid grid = TileGrid::cover(on_grid.height, on_grid.width, side);
        Stitcher stitcher(grid, std::move(kept));
        kept = {};
        Values<float> feed(static_cast<size_t>(manifest_.preprocess.channels * side * side));
        for (const Tile& tile : grid.tiles()) {
            timer.stage("gather", [&] { tensors_.write(on_grid, tile.y0, tile.x0, side, side, feed.data()); });
            const Values<float> values = timer.stage("network_small", [&] {
                return answer("small", feed, {1, manifest_.preprocess.channels, side, side}, 0.0f, 1.0f);
            });
            timer.stage("stitch", [&] { stitcher.add(tile, values.data()); });
            ++count;
        }
        return stitcher.result();
    }

    // `memory`: what nobody needs any more; the result takes it.
    Map upsample(const Map& p, int64_t height, int64_t width, Values<float> memory) const {
        if (p.height == height && p.width == width) return p;
        memory.resize(static_cast<size_t>(height * width));
        Map made;
        made.height = height;
        made.width = width;
        made.values = std::move(memory);
        if (!manifest_.fusion.upsample_on_logit) {
            resize_bilinear(p, made.data(), height, width);
            return made;
        }
        Map logit = p;
        for (float& value : logit.values) {
            const float clipped = std::clamp(value, kLogitMargin, 1.0f - kLogitMargin);
            value = std::log(clipped / (1.0f - clipped));
        }
        resize_bilinear(logit, made.data(), height, width);
        for (float& value : made.values) value = 1.0f / (1.0f + std::exp(-value));
        return made;
    }

    Tensors tensors_;
};

}  // namespace

std::unique_ptr<Pipeline> cmwnet_pipeline(const Bundle& bundle, Sessions sessions) {
    return std::make_unique<CmwnetPipeline>(bundle, std::move(sessions));
}

}  // namespace fundusrt
