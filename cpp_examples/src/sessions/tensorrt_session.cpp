// Native TensorRT or TensorRT for RTX (the same classes): an engine file that was built ahead, replayed as a CUDA
// graph.
#include <NvInfer.h>
#include <cuda_runtime_api.h>

#include <fstream>
#include <iterator>
#include <mutex>

#include "fundusrt/error.hpp"
#include "sessions/backends.hpp"

namespace fundusrt {

namespace {

// TensorRT keeps the first logger it is given for the whole process, so there is one; errors are the only reason that a
// failed call gives.
class Logger final : public nvinfer1::ILogger {
  public:
    void log(Severity severity, const char* text) noexcept override {
        if (severity > Severity::kERROR) return;
        const std::lock_guard<std::mutex> guard(mutex_);
        try {
            last_ = text;
        } catch (...) {
            last_.clear();
        }
    }
    std::string last() {
        const std::lock_guard<std::mutex> guard(mutex_);
        return last_.empty() ? "no reason given" : last_;
    }

  private:
    std::mutex mutex_;
    std::string last_;
};

Logger& logger() {
    static Logger made;
    return made;
}

void check(cudaError_t result, const std::string& source) {
    if (result != cudaSuccess)
        throw_backend_unavailable(source, std::string("CUDA: ") + cudaGetErrorString(result), "a GPU that works",
                                  "run `fundusrt doctor` on this machine");
}

struct FreeStream {
    void operator()(cudaStream_t stream) const { cudaStreamDestroy(stream); }
};
struct FreeGraph {
    void operator()(cudaGraphExec_t graph) const { cudaGraphExecDestroy(graph); }
};
struct FreeDevice {
    void operator()(void* memory) const { cudaFree(memory); }
};
struct FreePinned {
    void operator()(void* memory) const { cudaFreeHost(memory); }
};

size_t elements(const std::vector<int64_t>& shape) {
    size_t count = 1;
    for (const int64_t length : shape) count *= static_cast<size_t>(length);
    return count;
}

class TensorRtSession final : public Session {
  public:
    TensorRtSession(const std::string& engine_file, const std::string& source) : source_(source) {
        int devices = 0;
        // Before anything of TensorRT: some of its runtimes crash without a driver.
        check(cudaGetDeviceCount(&devices), source);
        std::ifstream file(engine_file, std::ios::binary);
        if (!file) mismatch("no file " + engine_file);
        const std::string plan{std::istreambuf_iterator<char>(file), {}};
        runtime_.reset(nvinfer1::createInferRuntime(logger()));
        if (!runtime_) mismatch(logger().last());
        engine_.reset(runtime_->deserializeCudaEngine(plan.data(), plan.size()));
        if (!engine_) mismatch(logger().last());
        context_.reset(engine_->createExecutionContext());
        if (!context_) mismatch(logger().last());
        if (engine_->getNbIOTensors() != 2) mismatch("an engine with other tensors than one input and one output");
        for (int32_t i = 0; i < 2; ++i) {
            const char* name = engine_->getIOTensorName(i);
            const nvinfer1::Dims dims = engine_->getTensorShape(name);
            if (engine_->getTensorDataType(name) != nvinfer1::DataType::kFLOAT)
                mismatch("tensors that are not float32");
            TensorSpec spec{name, {dims.d, dims.d + dims.nbDims}};
            (engine_->getTensorIOMode(name) == nvinfer1::TensorIOMode::kINPUT ? input_ : output_) = spec;
        }
        cudaStream_t stream = nullptr;
        check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), source);
        stream_.reset(stream);
    }

    const std::string& name() const override { return name_; }
    const TensorSpec& input() const override { return input_; }
    const TensorSpec& output() const override { return output_; }

    Values<float> run(const Values<float>& feed, const std::vector<int64_t>& shape) override {
        // One context, so one call at a time: others wait their turn.
        const std::lock_guard<std::mutex> guard(mutex_);
        if (shape != shape_) prepare(shape);
        std::copy(feed.begin(), feed.end(), static_cast<float*>(host_in_.get()));
        check(cudaGraphLaunch(graph_.get(), stream_.get()), source_);
        check(cudaStreamSynchronize(stream_.get()), source_);
        const auto* from = static_cast<const float*>(host_out_.get());
        return {from, from + count_out_};
    }

  private:
    // Memory and a graph of copy in, network, copy out for one shape; once uncaptured first, which TensorRT asks for.
    void prepare(const std::vector<int64_t>& shape) {
        graph_.reset();
        shape_.clear();
        nvinfer1::Dims dims{};
        dims.nbDims = static_cast<int32_t>(shape.size());
        std::copy(shape.begin(), shape.end(), dims.d);
        if (!context_->setInputShape(input_.name.c_str(), dims)) mismatch("no room for this shape in its profile");
        const nvinfer1::Dims out = context_->getTensorShape(output_.name.c_str());
        const size_t bytes_in = elements(shape) * sizeof(float);
        count_out_ = elements({out.d, out.d + out.nbDims});
        const size_t bytes_out = count_out_ * sizeof(float);
        device_in_.reset(device(bytes_in));
        device_out_.reset(device(bytes_out));
        host_in_.reset(pinned(bytes_in));
        host_out_.reset(pinned(bytes_out));
        if (!context_->setTensorAddress(input_.name.c_str(), device_in_.get()) ||
            !context_->setTensorAddress(output_.name.c_str(), device_out_.get()))
            mismatch(logger().last());
        enqueue(bytes_in, bytes_out);
        check(cudaStreamSynchronize(stream_.get()), source_);
        cudaGraph_t graph = nullptr;
        check(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal), source_);
        enqueue(bytes_in, bytes_out);
        check(cudaStreamEndCapture(stream_.get(), &graph), source_);
        cudaGraphExec_t ready = nullptr;
        const cudaError_t made = cudaGraphInstantiateWithFlags(&ready, graph, 0);
        cudaGraphDestroy(graph);
        check(made, source_);
        graph_.reset(ready);
        shape_ = shape;
    }

    void enqueue(size_t bytes_in, size_t bytes_out) {
        check(cudaMemcpyAsync(device_in_.get(), host_in_.get(), bytes_in, cudaMemcpyHostToDevice, stream_.get()),
              source_);
        if (!context_->enqueueV3(stream_.get()))
            throw_backend_unavailable(source_, "TensorRT: " + logger().last(), "an answer",
                                      "run `fundusrt doctor` on this machine");
        check(cudaMemcpyAsync(host_out_.get(), device_out_.get(), bytes_out, cudaMemcpyDeviceToHost, stream_.get()),
              source_);
    }

    void* device(size_t bytes) const {
        void* memory = nullptr;
        check(cudaMalloc(&memory, bytes), source_);
        return memory;
    }

    void* pinned(size_t bytes) const {
        void* memory = nullptr;
        check(cudaMallocHost(&memory, bytes), source_);
        return memory;
    }

    [[noreturn]] void mismatch(const std::string& got) const {
        throw Error(ErrorCode::kEngineMismatch, source_, got, "an engine for this GPU and this version of TensorRT",
                    "build it on this machine with `fundusrt build`");
    }

    std::string source_;
    std::string name_ = "tensorrt";
    TensorSpec input_, output_;
    // In the order that they depend on each other: contexts die before engines, engines before runtimes.
    std::unique_ptr<nvinfer1::IRuntime> runtime_;
    std::unique_ptr<nvinfer1::ICudaEngine> engine_;
    std::unique_ptr<nvinfer1::IExecutionContext> context_;
    std::unique_ptr<std::remove_pointer_t<cudaStream_t>, FreeStream> stream_;
    std::unique_ptr<void, FreeDevice> device_in_, device_out_;
    std::unique_ptr<void, FreePinned> host_in_, host_out_;
    std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, FreeGraph> graph_;
    std::vector<int64_t> shape_;
    size_t count_out_ = 0;
    std::mutex mutex_;
};

}  // namespace

std::unique_ptr<Session> open_tensorrt(const std::string& engine_file, const std::string& source) {
    return std::make_unique<TensorRtSession>(engine_file, source);
}

}  // namespace fundusrt
