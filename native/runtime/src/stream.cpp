#include "adafuse/stream.hpp"

#include <algorithm>
#include <iterator>

#include "src/finite.h"
#include "src/stream_impl.h"

namespace adafuse {
namespace {

StreamOptions with_consensus(StreamOptions options, const Metadata& metadata) {
  if (options.streams < 1) {
    throw InputError("There must be at least 1 stream, not 0.");
  }
  if (options.consensus.empty()) {
    // An LSTM has already combined the frames it has seen.
    options.consensus = metadata.consensus == "lstm" ? "last" : "mean";
  }
  return options;
}

Shape with_streams(std::size_t streams, const Shape& shape) {
  Shape result{static_cast<std::int64_t>(streams)};
  result.insert(result.end(), shape.begin(), shape.end());
  return result;
}

// Stands for the policies before the first frame: nothing is missing.
Tensor<std::uint8_t> all_kept(const Tensor<std::uint8_t>& policy) {
  static_assert(kKeep == 0, "a new tensor holds zeros");
  return Tensor<std::uint8_t>(policy.shape);
}

template <class T>
void clear_row(Tensor<T>& tensor, std::size_t row) {
  const std::size_t width = tensor.values.size() / static_cast<std::size_t>(tensor.shape[0]);
  std::fill_n(tensor.values.begin() + static_cast<std::ptrdiff_t>(row * width), width, T{0});
}

}  // namespace

Stream::Impl::Impl(std::shared_ptr<const Session> of_session, const StreamOptions& options)
    : session(std::move(of_session)), metadata(session->metadata), streams(options.streams) {
  if (metadata.mode != "stream") {
    throw InputError("The onnxruntime engine runs clips of " +
                     std::to_string(metadata.num_segments) +
                     " frames, not streams: make a graph with 'adafuse-deploy export CHECKPOINT "
                     "--mode stream' and load that.");
  }
  consensus = make_consensus(with_consensus(options, metadata),
                             static_cast<std::size_t>(metadata.num_classes));
  for (auto& set : states) {
    for (const StateTensor& state : metadata.state) {
      set.emplace_back(with_streams(streams, state.shape));
    }
  }
}

Tensor<float> Stream::Impl::checked(const Tensor<float>& frames) const {
  const Shape wanted = with_streams(streams, metadata.frame_shape());
  Tensor<float> result = frames;
  if (streams == 1 && frames.shape == metadata.frame_shape()) {
    result.shape = wanted;
  }
  if (result.shape != wanted || result.values.size() != element_count(wanted)) {
    throw InputError("The next frame of " + std::to_string(streams) + " streams must have shape " +
                     to_string(wanted) + ", not " + to_string(frames.shape) + ".");
  }
  return result;
}

void Stream::Impl::add_state(NamedValues& values, std::size_t set,
                             std::string StateTensor::* name) {
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeCPU);
  for (std::size_t i = 0; i < metadata.state.size(); ++i) {
    const StateTensor& state = metadata.state[i];
    Tensor<std::int32_t>& tensor = states[set][i];
    const auto type = state.dtype == "int32" ? ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32
                                             : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
    const std::size_t bytes = tensor.values.size() * sizeof(std::int32_t);
    values.add(state.*name,
               Ort::Value::CreateTensor(memory, tensor.values.data(), bytes, tensor.shape.data(),
                                        tensor.shape.size(), type));
  }
}

Prediction Stream::Impl::push(const Tensor<float>& frames) {
  const Tensor<float> frame = checked(frames);
  check_input(frame);
  NamedValues inputs, outputs;
  inputs.add("frame", view(frame));
  add_state(inputs, turn, &StateTensor::input);
  outputs.add("logits", Ort::Value(nullptr));
  add_policies(metadata, outputs);
  add_state(outputs, 1 - turn, &StateTensor::output);
  session->run(inputs, outputs);

  Prediction result;
  const auto rows = static_cast<std::int64_t>(streams);
  result.frame_logits = to_logits(outputs.values[0], {rows, metadata.num_classes});
  check_logits(result.frame_logits, session->name());
  turn = 1 - turn;
  result.logits = consensus->update(result.frame_logits);
  result.frame_logits.shape.insert(result.frame_logits.shape.begin() + 1, 1);
  for (std::size_t gate = 0; gate < metadata.gates.size(); ++gate) {
    result.policies.push_back(to_policy(outputs.values[1 + gate], rows, 1));
  }
  if (policies.empty()) {
    std::transform(result.policies.begin(), result.policies.end(), std::back_inserter(policies),
                   all_kept);
  }
  result.macs = stream_macs(metadata.layers, result.policies, policies);
  result.macs.resize(streams, result.macs.front());  // a dense network has one number for all
  policies = result.policies;
  return result;
}

void Stream::Impl::reset(std::size_t stream) {
  for (auto& state : states[turn]) {
    clear_row(state, stream);
  }
  for (auto& policy : policies) {
    clear_row(policy, stream);
  }
  consensus->reset(stream);
}

Stream::Stream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&&) noexcept = default;
Stream::~Stream() = default;

Prediction Stream::push(const Tensor<float>& frames) {
  return impl_->push(frames);
}

void Stream::reset(std::optional<std::size_t> stream) {
  if (stream && *stream >= impl_->streams) {
    throw InputError("There is no stream " + std::to_string(*stream) + "; there are " +
                     std::to_string(impl_->streams) + ", from 0 on.");
  }
  const std::size_t first = stream.value_or(0);
  const std::size_t stop = stream ? first + 1 : impl_->streams;
  for (std::size_t i = first; i < stop; ++i) {
    impl_->reset(i);
  }
}

std::size_t Stream::state_bytes() const {
  std::size_t values = 0;
  for (const auto& set : impl_->states) {
    for (const auto& tensor : set) {
      values += tensor.values.size();
    }
  }
  return values * sizeof(std::int32_t) / impl_->streams;
}

}  // namespace adafuse
