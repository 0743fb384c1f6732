// RegisterCustomOps(), the function that ONNX Runtime looks for, and the table of all operators.
#include <array>
#include <charconv>
#include <string>
#include <utility>

#include "ort/conv_operator.h"
#include "ort/nhwc_conv_operator.h"
#include "ort/nhwc_pool_operator.h"
#include "ort/policy_history_operator.h"
#include "ort/policy_operator.h"
#include "ort/residual_operator.h"
#include "ort/status.h"
#include "ort/stem_operator.h"
#include "ort/stream_conv_operator.h"
#include "ort/to_nhwc_operator.h"

namespace adafuse {
namespace {

// Runtimes before 1.24 crash when an operator with shape inference has an optional input that the
// node leaves empty; without it they only learn the output's shape later.
bool can_infer_shapes(const std::string& version) {
  const char* at = version.c_str();
  const char* const end = at + version.size();
  const auto number = [&at, end] {
    unsigned value = 0;
    at = std::from_chars(at, end, value).ptr;
    at += at == end ? 0 : 1;  // the full stop
    return value;
  };
  const unsigned major = number(), minor = number();
  return std::make_pair(major, minor) >= std::make_pair(1u, 24u);
}

Ort::CustomOpDomain* make_domain(bool infers_shapes) {
  static const std::array convolutions{
      ConvOperator({"GatedConv", 3, 4}, infers_shapes),
      ConvOperator({"SkipConv", std::nullopt, 3}, infers_shapes),
  };
  static const std::array blocks{
      ResidualOperator({"ConditionalBasicBlock", 2, false}, infers_shapes),
      ResidualOperator({"ConditionalBottleneck", 3, false}, infers_shapes),
      ResidualOperator({"QuantizedConditionalBasicBlock", 2, true}, infers_shapes),
      ResidualOperator({"QuantizedConditionalBottleneck", 3, true}, infers_shapes),
      ResidualOperator({"StreamBasicBlock", 2, false, true}, infers_shapes),
      ResidualOperator({"StreamBottleneck", 3, false, true}, infers_shapes),
  };
  static const StreamConvOperator stream_convolution(infers_shapes);
  static const PolicyOperator policy_network(infers_shapes);
  static const PolicyHistoryOperator policy_history(infers_shapes);
  static const ToNhwcOperator channels_last(infers_shapes);
  static const std::array stems{
      StemOperator("Stem", false, infers_shapes),
      StemOperator("QuantizedStem", true, infers_shapes),
  };
  static const std::array frame_convolutions{
      NhwcConvOperator({"FrameConv", false}, infers_shapes),
      NhwcConvOperator({"QuantizedFrameConv", true}, infers_shapes),
  };
  static const std::array frame_pools{
      NhwcPoolOperator("FramePool", false, infers_shapes),
      NhwcPoolOperator("QuantizedFramePool", true, infers_shapes),
  };
  auto* domain = new Ort::CustomOpDomain(kDomain);
  for (const ConvOperator& op : convolutions) {
    domain->Add(&op);
  }
  domain->Add(&stream_convolution);
  domain->Add(&policy_network);
  domain->Add(&policy_history);
  for (const ResidualOperator& op : blocks) {
    domain->Add(&op);
  }
  domain->Add(&channels_last);
  for (const StemOperator& op : stems) {
    domain->Add(&op);
  }
  for (const NhwcConvOperator& op : frame_convolutions) {
    domain->Add(&op);
  }
  for (const NhwcPoolOperator& op : frame_pools) {
    domain->Add(&op);
  }
  return domain;
}

}  // namespace
}  // namespace adafuse

extern "C" __attribute__((visibility("default"))) OrtStatus* ORT_API_CALL
RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* api_base) {
  const OrtApi* api = api_base->GetApi(adafuse::kApiVersion);
  if (api == nullptr) {
    const std::string message = std::string("The AdaFuse operators need ONNX Runtime 1.") +
                                std::to_string(adafuse::kApiVersion) + " or newer; this is " +
                                api_base->GetVersionString();
    return api_base->GetApi(1)->CreateStatus(ORT_NOT_IMPLEMENTED, message.c_str());
  }
  Ort::InitApi(api);
  return adafuse::as_status("RegisterCustomOps", [options, api_base] {
    // Never destroyed: sessions may outlive this library's static objects when a program ends.
    static const Ort::CustomOpDomain* domain =
        adafuse::make_domain(adafuse::can_infer_shapes(api_base->GetVersionString()));
    Ort::UnownedSessionOptions(options).Add(*domain);
  });
}
