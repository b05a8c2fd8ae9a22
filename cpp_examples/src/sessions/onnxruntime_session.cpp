// ONNX Runtime: CPU, CUDA, TensorRT and TensorRT for RTX by name. The only file that includes its headers.
#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <map>

#include "fundusrt/error.hpp"
#include "sessions/backends.hpp"

namespace fundusrt {

namespace {

std::string one_line(const std::string& text) {
    std::string made;
    for (const char c : text) made += c == '\n' || c == '\r' || c == '\t' ? ' ' : c;
    return made;
}

std::string provider_of(const BackendOptions& options) {
    if (options.device == "cpu") return "CPUExecutionProvider";
    if (options.backend == "onnxruntime-tensorrt") return "TensorrtExecutionProvider";
    if (options.backend == "onnxruntime-tensorrt-rtx") return "NvTensorRTRTXExecutionProvider";
    return "CUDAExecutionProvider";
}

void add_cuda(Ort::SessionOptions& session) {
    const OrtApi& api = Ort::GetApi();
    OrtCUDAProviderOptionsV2* made = nullptr;
    Ort::ThrowOnError(api.CreateCUDAProviderOptions(&made));
    const std::unique_ptr<OrtCUDAProviderOptionsV2, void (*)(OrtCUDAProviderOptionsV2*)> cuda(
        made, api.ReleaseCUDAProviderOptions);
    // Without TF32, as in Python: float32 stays float32.
    const char *keys[] = {"use_tf32"}, *values[] = {"0"};
    Ort::ThrowOnError(api.UpdateCUDAProviderOptions(made, keys, values, 1));
    session.AppendExecutionProvider_CUDA_V2(*made);
}

void add_tensorrt(Ort::SessionOptions& session) {
    const OrtApi& api = Ort::GetApi();
    OrtTensorRTProviderOptionsV2* made = nullptr;
    Ort::ThrowOnError(api.CreateTensorRTProviderOptions(&made));
    const std::unique_ptr<OrtTensorRTProviderOptionsV2, void (*)(OrtTensorRTProviderOptionsV2*)> tensorrt(
        made, api.ReleaseTensorRTProviderOptions);
    session.AppendExecutionProvider_TensorRT_V2(*made);
}

// Adds exactly the provider asked for; never another.
void add_provider(Ort::SessionOptions& session, const BackendOptions& options, const std::string& source) {
    const std::string provider = provider_of(options);
    const std::vector<std::string> available = Ort::GetAvailableProviders();
    if (std::find(available.begin(), available.end(), provider) == available.end()) {
        std::string have;
        for (const std::string& name : available) have += (have.empty() ? "" : ", ") + name;
        throw_backend_unavailable(source, "ONNX Runtime with " + have, provider,
                                  "link the ONNX Runtime build that has it, or choose another backend");
    }
    if (options.device == "cpu") return;
    // What a GPU provider cannot run must not run on the CPU instead.
    session.AddConfigEntry("session.disable_cpu_ep_fallback", "1");
    if (options.backend == "onnxruntime-tensorrt")
        add_tensorrt(session);
    else if (options.backend == "onnxruntime-tensorrt-rtx")
        session.AppendExecutionProvider("NvTensorRtRtx", {});
    else
        add_cuda(session);
}

TensorSpec spec_of(const std::string& name, const Ort::TypeInfo& type, const std::string& source) {
    const auto tensor = type.GetTensorTypeAndShapeInfo();
    if (tensor.GetElementType() != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT)
        throw_bundle_error(source + ", tensor " + name, "another element type", "tensor(float)",
                           "export the network with fp32 tensors");
    return {name, tensor.GetShape()};
}

// One for the process, never destroyed: sessions in other static objects may outlive this file's.
Ort::Env& environment() {
    static auto* made = new Ort::Env(ORT_LOGGING_LEVEL_FATAL, "fundusrt");
    return *made;
}

class OnnxRuntimeSession final : public Session {
  public:
    OnnxRuntimeSession(const BackendOptions& options, const std::string& model, const std::string& source)
        : name_("onnxruntime:" + provider_of(options)), source_(source) {
        Ort::SessionOptions session;
        session.SetLogSeverityLevel(4);
        if (options.threads != 0) session.SetIntraOpNumThreads(options.threads);
        session.SetInterOpNumThreads(1);
        // Spinning threads take the cores away from the stages between two network calls.
        session.AddConfigEntry("session.intra_op.allow_spinning", "0");
        // Only what the bundle's checks understand: ONNX Runtime would also recognise its own file format.
        session.AddConfigEntry("session.load_model_format", "ONNX");
        add_provider(session, options, source);
        try {
            session_ = Ort::Session(environment(), model.data(), model.size(), session);
        } catch (const Ort::Exception& error) {
            if (options.device != "cpu")
                throw_backend_unavailable(source, one_line(error.what()), "a network that " + name_ + " runs",
                                          "run `fundusrt doctor` on this machine");
            throw_bundle_error(source, "ONNX Runtime: " + one_line(error.what()), "a valid ONNX model",
                               "export the bundle again");
        }
        const Ort::AllocatorWithDefaultOptions allocator;
        if (session_.GetInputCount() != 1 || session_.GetOutputCount() != 1)
            throw_bundle_error(source, "several inputs or outputs", "one of each", "export the bundle again");
        input_ = spec_of(session_.GetInputNameAllocated(0, allocator).get(), session_.GetInputTypeInfo(0), source);
        output_ = spec_of(session_.GetOutputNameAllocated(0, allocator).get(), session_.GetOutputTypeInfo(0), source);
    }

    const std::string& name() const override { return name_; }
    const TensorSpec& input() const override { return input_; }
    const TensorSpec& output() const override { return output_; }

    Values<float> run(const Values<float>& feed, const std::vector<int64_t>& shape) override {
        try {
            const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
            const Ort::Value tensor =
                Ort::Value::CreateTensor<float>(memory, const_cast<float*>(feed.data()), feed.size(), shape.data(),
                                                shape.size());  // NOLINT: not written
            const char *in = input_.name.c_str(), *out = output_.name.c_str();
            const auto values = session_.Run(Ort::RunOptions{nullptr}, &in, &tensor, 1, &out, 1);
            const float* from = values[0].GetTensorData<float>();
            return {from, from + values[0].GetTensorTypeAndShapeInfo().GetElementCount()};
        } catch (const Ort::Exception& error) {
            throw_backend_unavailable(source_, "ONNX Runtime failed: " + one_line(error.what()), "an answer",
                                      "run `fundusrt verify` on this machine");
        }
    }

  private:
    std::string name_;
    std::string source_;
    Ort::Session session_{nullptr};
    TensorSpec input_;
    TensorSpec output_;
};

}  // namespace

std::unique_ptr<Session> open_onnxruntime(const BackendOptions& options, const std::string& model,
                                          const std::string& source) {
    try {
        return std::make_unique<OnnxRuntimeSession>(options, model, source);
    } catch (const Ort::Exception& error) {
        throw_backend_unavailable(source, one_line(error.what()), "ONNX Runtime as asked for",
                                  "run `fundusrt doctor` on this machine");
    }
}

}  // namespace fundusrt
