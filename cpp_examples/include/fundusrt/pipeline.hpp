// A bundle made ready to run: pre-processing, networks, and what becomes of their answers.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "fundusrt/bundle.hpp"
#include "fundusrt/image.hpp"
#include "fundusrt/result.hpp"
#include "fundusrt/session.hpp"

namespace fundusrt {

// Keeps nothing of an image; several threads may run one pipeline at a time.
class Pipeline {
  public:
    virtual ~Pipeline() = default;

    // Pre-processes the bundle's golden image and compares, then opens the networks. Throws Error: kBundle where this
    // build pre-processes otherwise than the export, kBackendUnavailable, kEngineMismatch.
    static std::unique_ptr<Pipeline> open(const Bundle& bundle, const BackendOptions& options = {});

    // The same over sessions that the caller made, by network. Their tensors must be those of the manifest.
    static std::unique_ptr<Pipeline> over(const Bundle& bundle,
                                          std::map<std::string, std::unique_ptr<Session>> sessions);

    // Throws Error: kInvalidInput for an image that cannot be used, kBackendUnavailable for a network that failed or
    // answered what it may not.
    virtual Result run(const FundusImage& eye) const = 0;
    Result run(const ImageView& view) const;

    // The pre-processed arrays, by stage: `grid` and `whole`, or `frame`.
    virtual std::map<std::string, Bytes> preprocessed(const FundusImage& eye) const = 0;

    const Manifest& manifest() const { return manifest_; }
    const std::string& provider() const;

  protected:
    Pipeline(const Bundle& bundle, std::map<std::string, std::unique_ptr<Session>> sessions);

    // A network's answer; values outside [low, high], NaN among them, are an error.
    Values<float> answer(const std::string& network, const Values<float>& feed, const std::vector<int64_t>& shape,
                         float low, float high) const;
    Result begin(const FundusImage& eye) const;

    Manifest manifest_;
    std::string bundle_sha256_;
    std::map<std::string, std::unique_ptr<Session>> sessions_;
};

}  // namespace fundusrt
