#include "pipelines/frame_pipeline.hpp"

namespace fundusrt {

FramePipeline::FramePipeline(const Bundle& bundle, Sessions sessions)
    : Pipeline(bundle, std::move(sessions)), tensors_(manifest_.preprocess) {}

std::map<std::string, Bytes> FramePipeline::preprocessed(const FundusImage& eye) const {
    FieldFrame frame;
    return {{"frame", cut_frame(eye, frame)}};
}

Bytes FramePipeline::cut_frame(const FundusImage& eye, FieldFrame& frame) const {
    Bytes pixels = to_8_bit(eye);
    if (manifest_.green && pixels.channels == 3) {
        Bytes green(pixels.height, pixels.width);
        for (int64_t i = 0; i < pixels.pixels(); ++i) green.data()[i] = pixels.data()[3 * i + 1];
        pixels = std::move(green);
    }
    frame = FieldFrame::around(eye, manifest_.frame);
    return frame.cut(pixels, eye);
}

Values<float> FramePipeline::run_frame(const Bytes& pixels, float low, float high) const {
    Values<float> feed(static_cast<size_t>(manifest_.preprocess.channels * pixels.pixels()));
    tensors_.write(pixels, 0, 0, pixels.height, pixels.width, feed.data());
    return answer(manifest_.networks.begin()->first, feed,
                  {1, manifest_.preprocess.channels, pixels.height, pixels.width}, low, high);
}

}  // namespace fundusrt
