// SS-MAF on one image: the frame through the network, its probability back at the image's size, mask and lesions.
// Reference: fundusrt/exudate_pipeline.py.
#include "pipelines/frame_pipeline.hpp"
#include "pipelines/segmentation.hpp"
#include "pipelines/stage_timer.hpp"

namespace fundusrt {

namespace {

class SsMafPipeline final : public FramePipeline {
  public:
    using FramePipeline::FramePipeline;

    Result run(const FundusImage& eye) const override {
        StageTimer timer;
        Result result = begin(eye);
        if (!result.gradable) return ungradable(std::move(result), eye);
        FieldFrame frame;
        const Bytes pixels = timer.stage("frame", [&] { return cut_frame(eye, frame); });
        const auto& shape = manifest_.networks.begin()->second.output.shape;
        Map map(shape[2], shape[3]);
        timer.stage("network", [&] { map.values = run_frame(pixels, 0.0f, 1.0f); });
        timer.stage("upsample", [&] {
            result.probability = frame.to_native(map, manifest_.upsample);
            make_mask(result, eye, manifest_.threshold);
        });
        timer.stage("lesions", [&] { result.lesions = find_lesions(result.mask, result.probability, eye.mm_per_px); });
        result.timings_ms = std::move(timer.ms);
        return result;
    }
};

}  // namespace

std::unique_ptr<Pipeline> ss_maf_pipeline(const Bundle& bundle, Sessions sessions) {
    return std::make_unique<SsMafPipeline>(bundle, std::move(sessions));
}

}  // namespace fundusrt
