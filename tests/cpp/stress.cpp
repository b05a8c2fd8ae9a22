// Threads that share one pipeline, without a network runtime: stress BUNDLE
// THREADS FRAMES.
//
// For the sanitizers, which cannot look into ONNX Runtime: everything but the
// networks is the library's own code, and answers must not depend on the
// thread. Prints by how much the resident memory grew.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "fundusrt/bundle.hpp"
#include "fundusrt/pipeline.hpp"
#include "fundusrt/sha256.hpp"

using namespace fundusrt;

namespace {

// Answers with the first plane of its input, each value as often as the output
// asks.
class Echo final : public Session {
  public:
    Echo(const TensorSpec& input, const TensorSpec& output) : input_(input), output_(output) {}
    const std::string& name() const override { return name_; }
    const TensorSpec& input() const override { return input_; }
    const TensorSpec& output() const override { return output_; }
    Values<float> run(const Values<float>& feed, const std::vector<int64_t>&) override {
        const int64_t height = output_.shape[2], width = output_.shape[3], scale = height / input_.shape[2];
        Values<float> made(static_cast<size_t>(output_.shape[1] * height * width));
        size_t at = 0;
        for (int64_t c = 0; c < output_.shape[1]; ++c)
            for (int64_t y = 0; y < height; ++y)
                for (int64_t x = 0; x < width; ++x)
                    made[at++] =
                        std::clamp(feed[static_cast<size_t>(y / scale * input_.shape[3] + x / scale)], 0.0f, 1.0f);
        return made;
    }

  private:
    std::string name_ = "echo";
    TensorSpec input_, output_;
};

Bytes scene(int number) {
    Bytes frame(300 + 40 * number, 340, 3);
    for (int64_t y = 0; y < frame.height; ++y)
        for (int64_t x = 0; x < frame.width; ++x) {
            const double distance = std::hypot(static_cast<double>(y) - 150, static_cast<double>(x) - 170);
            const bool spot = (y / 9 + x / 7) % 11 == number;
            for (int c = 0; c < 3; ++c)
                frame.row(y)[3 * x + c] = distance > 140 ? 0 : static_cast<uint8_t>(spot ? 230 - 20 * c : 120 - 30 * c);
        }
    return frame;
}

std::string digest(const Pipeline& pipeline, const Bytes& frame) {
    ImageView view;
    view.data = frame.data();
    view.height = frame.height;
    view.width = frame.width;
    view.channels = 3;
    const Result result = pipeline.run(view);
    const Bytes& answer = result.image.empty() ? result.mask : result.image;
    return sha256(answer.data(), answer.values.size());
}

long resident_kib() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.rfind("VmRSS:", 0) == 0) return std::atol(line.c_str() + 6);
    return 0;
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 4) return 2;
    const int workers = std::atoi(arguments[2]), frames = std::atoi(arguments[3]);
    const Bundle bundle = Bundle::open(arguments[1]);
    std::map<std::string, std::unique_ptr<Session>> sessions;
    for (const auto& [name, network] : bundle.manifest().networks)
        sessions[name] = std::make_unique<Echo>(network.input, network.output);
    const auto pipeline = Pipeline::over(bundle, std::move(sessions));
    std::vector<Bytes> scenes;
    std::vector<std::string> expected;
    for (int i = 0; i < 3; ++i) {
        scenes.push_back(scene(i));
        expected.push_back(digest(*pipeline, scenes.back()));
    }
    std::atomic<int> wrong{0};
    const auto round = [&](int total) {
        std::vector<std::thread> threads;
        for (int first = 0; first < workers; ++first)
            threads.emplace_back([&, first] {
                for (int i = first; i < total; i += workers)
                    if (digest(*pipeline, scenes[static_cast<size_t>(i % 3)]) != expected[static_cast<size_t>(i % 3)])
                        ++wrong;
            });
        for (std::thread& thread : threads) thread.join();
    };
    if (frames >= 200) round(100);  // what the allocator keeps settles first
    const long before = resident_kib();
    round(frames);
    std::printf(
        "%d frames in %d threads: %d answers differ; resident memory "
        "grew by %ld KiB\n",
        frames, workers, wrong.load(), resident_kib() - before);
    return wrong.load() == 0 ? 0 : 1;
}
