// MAGE-Net on one image: the frame through the network, its answer brought to the image's own size.
// Reference: fundusrt/enhancement_pipeline.py.
#include <cstdlib>

#include "pipelines/frame_pipeline.hpp"
#include "pipelines/stage_timer.hpp"
#include "stages/native_enhancement.hpp"

namespace fundusrt {

namespace {

class MageNetPipeline final : public FramePipeline {
  public:
    using FramePipeline::FramePipeline;

    Result run(const FundusImage& eye) const override {
        StageTimer timer;
        Result result = begin(eye);
        if (!result.gradable) {
            result.image = rgb_8_bit(eye);
            return result;
        }
        FieldFrame frame;
        const Bytes pixels = timer.stage("frame", [&] { return cut_frame(eye, frame); });
        // A whole white level beyond either end is no enhancement any more.
        const Values<float> enhanced = timer.stage("network", [&] { return run_frame(pixels, -1.0f, 2.0f); });
        timer.stage("native", [&] {
            result.image = native_enhancement(eye, frame, pixels, enhanced, manifest_.residual);
            result.mean_change = mean_change(rgb_8_bit(eye), result.image, eye.fov_px);
        });
        result.timings_ms = std::move(timer.ms);
        return result;
    }

  private:
    static double mean_change(const Bytes& before, const Bytes& after, int64_t field_px) {
        int64_t sum = 0;
        for (size_t i = 0; i < before.values.size(); ++i) sum += std::abs(int{before.values[i]} - int{after.values[i]});
        return static_cast<double>(sum) / static_cast<double>(3 * field_px);
    }
};

}  // namespace

std::unique_ptr<Pipeline> mage_net_pipeline(const Bundle& bundle, Sessions sessions) {
    return std::make_unique<MageNetPipeline>(bundle, std::move(sessions));
}

}  // namespace fundusrt
