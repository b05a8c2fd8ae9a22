// What the systems that see one frame share. Reference: fundusrt/frame_pipeline.py.
#pragma once

#include "fundusrt/field_frame.hpp"
#include "fundusrt/pipeline.hpp"
#include "fundusrt/preprocess.hpp"
#include "pipelines/systems.hpp"

namespace fundusrt {

class FramePipeline : public Pipeline {
  public:
    FramePipeline(const Bundle& bundle, Sessions sessions);

    std::map<std::string, Bytes> preprocessed(const FundusImage& eye) const override;

  protected:
    // The frame's 8-bit pixels: (h, w) for grey images and the green channel, else (h, w, 3).
    Bytes cut_frame(const FundusImage& eye, FieldFrame& frame) const;

    // The network's answer to the pixels of a frame.
    Values<float> run_frame(const Bytes& pixels, float low, float high) const;

  private:
    Tensors tensors_;
};

}  // namespace fundusrt
