// ONNX files (protocol buffers) without the onnx package: no tensor may lie outside the file, but for initialisers in
// the weights file of the variant, whose bytes are copied in. A runtime only ever sees one block of memory.
// Reference: fundusrt/onnx_file.py and fundusrt/onnx_weights.py.
#pragma once

#include <string>

namespace fundusrt {

// Throws Error(kBundle): a tensor with external data, or bytes that are no protocol-buffers message.
void refuse_external_data(const std::string& model, const std::string& source);

// Returns the model with the tensors that lie in its weights file inside it. `name`: the only location its tensors may
// name; `weights`: the bytes of that file. Throws Error(kBundle).
std::string inline_weights(const std::string& model, const std::string& name, const std::string& weights,
                           const std::string& source);

}  // namespace fundusrt
