// 3x3 convolutions of stride 1 by Winograd F(4x4, 3x3) in float32, see transforms.h.
//
// Only channels that are read are transformed, only channels that are computed are multiplied.  In
// between, each of the 36 points is a matrix product, tiles times channels, by igemm_nhwc.
#pragma once

#include <cstddef>
#include <vector>

#include "base/parallel_for.h"
#include "base/workspace.h"
#include "microkernels/igemm_nhwc/k_indirection.h"
#include "microkernels/igemm_nhwc/loop_nest.h"
#include "microkernels/winograd/transforms.h"

namespace adafuse {

// Whether Winograd is faster than the plain sum for frames of height x width output pixels.  It
// takes a quarter of the multiplications but four times the weights, and pixels in multiples of
// four: on small frames weights are used too seldom, and the last pixels lie beyond the edge.
constexpr bool winograd_pays(std::size_t height, std::size_t width) {
  constexpr std::size_t kSmallestPlane = 100;
  return height * width >= kSmallestPlane;
}

// The weights of a 3x3 convolution transformed to 36 points, which take the place of taps.
class WinogradWeights {
 public:
  explicit WinogradWeights(const ConvWeights& conv);

  const ConvWeights& conv() const { return conv_; }

 private:
  std::vector<float> weights_;
  ConvWeights conv_;
};

// The input of one frame: runs of channels to transform, and terms with weights of their own.
class WinogradInput {
 public:
  void clear();

  // Adds a term: every channel of a frame, shifted; for PackedB or PackedBForChosenN.
  void add(const char* frame, const InputShape& input, const TemporalShift& shift,
           Neighbours neighbours, const IgemmKernel& kernel);

  // Adds a term: compactly stored channels, those that the frame keeps and, unless null, those that
  // the previous frame lends, which lie `distance` bytes behind or just one frame before; for
  // PackedBForChosenK.
  void add(const char* frame, const InputShape& input, const ChannelOrder& own,
           const ChannelOrder* previous, std::ptrdiff_t distance, const IgemmKernel& kernel);
  void add(const char* frame, const InputShape& input, const ChannelOrder& own,
           const ChannelOrder* previous, const IgemmKernel& kernel) {
    add(frame, input, own, previous, -static_cast<std::ptrdiff_t>(input.layout.frame_pitch()),
        kernel);
  }

  std::size_t channels() const { return channels_; }
  std::size_t terms() const { return terms_.size(); }

 private:
  friend class WinogradTiles;

  struct Run {
    const char* first;  // the first channel, in the frame
    NhwcLayout layout;
    std::size_t channels;
  };
  struct Term {
    std::size_t first_entry, depth;  // of K
    std::size_t b_rows;              // of a point
  };

  void add_run(const char* frame, const InputShape& input, const ChannelRun& run);
  // Throws std::invalid_argument where K entries cannot reach that many channels.
  void begin_term(std::size_t channels, const IgemmKernel& kernel) const;
  void end_term(std::size_t first_entry, std::size_t b_rows);

  std::size_t channels_ = 0;
  std::vector<Run> runs_;
  std::vector<Term> terms_;
  std::vector<KEntry> entries_;
};

// The transformed input tiles under some rows of a frame's output, in memory that the caller lends:
// point, tile, channel.
class WinogradTiles {
 public:
  // Tiles of output rows `rows` of a height x width frame; rows.begin is a multiple of
  // kWinogradOutput.
  WinogradTiles(const IgemmKernel& kernel, const WinogradInput& reads, ImageRows rows,
                std::size_t height, std::size_t width);

  std::size_t bytes() const { return kWinogradPoints * point_pitch_ + kLine; }
  void transform(char* memory) const;

  // Bytes of the products that multiply() writes and finish() reads.
  std::size_t product_bytes() const { return kWinogradPoints * product_pitch_; }

  // Multiplies the tiles at one point by a panel, of which `channels` channels are computed.
  // `weights`: per term.
  void multiply(const char* memory, const BPanels* weights, std::size_t panel, std::size_t channels,
                std::size_t point, char* products) const;
  // Transforms the products of all points to pixels, with the epilogue.
  void finish(const char* products, const ConvTarget& target, bool rectify, std::size_t panel,
              std::size_t channels) const;

 private:
  template <typename Body>
  void for_each_tile(Body body) const;

  const IgemmKernel& kernel_;
  const WinogradKernel& transforms_;
  const WinogradInput& reads_;
  ImageRows rows_;
  std::size_t height_, width_;
  std::size_t columns_;  // of tiles
  std::size_t count_;
  std::size_t pitch_;  // bytes from one tile to the next
  std::size_t point_pitch_;
  std::size_t product_pitch_;  // bytes from one point's products to the next
};

// A frame, or some rows of one, whose tiles lie transformed in `memory`.
struct WinogradFrame {
  const WinogradTiles& tiles;
  const char* memory;
  const BPanels* weights;  // per term
  ConvTarget target;
};

// The inputs of all frames of an operator and their transformed tiles.
class WinogradFrames {
 public:
  // Makes room for so many frames.
  void resize(std::size_t frames);
  WinogradInput& reads(std::size_t frame) { return reads_[frame]; }
  const WinogradInput& reads(std::size_t frame) const { return reads_[frame]; }

  // Bytes of the transformed tiles of all frames, for an output of height x width.
  std::size_t plan(const IgemmKernel& kernel, std::size_t height, std::size_t width);
  // Transforms all frames into so much memory, which must last until they are read.
  void transform(char* memory, const ParallelFor& parallel_for);
  // Bytes that convolve_winograd() takes for `count` of these frames at most.
  std::size_t scratch_bytes(std::size_t count) const;
  WinogradFrame frame(std::size_t index, const BPanels* weights, const ConvTarget& target) const {
    return {tiles_[index], memory_ + begins_[index], weights, target};
  }

 private:
  std::size_t frames_ = 0;
  std::vector<WinogradInput> reads_;
  std::vector<WinogradTiles> tiles_;
  std::vector<std::size_t> begins_;
  const char* memory_ = nullptr;
};

// Computes `channels` channels of one panel for frames that share its weights.
void convolve_winograd(const WinogradFrame* frames, std::size_t count, bool rectify,
                       std::size_t panel, std::size_t channels, Arena& scratch);

// Computes `rows` of a height x width frame, as convolve() does; rows.begin is a multiple of
// kWinogradOutput.
void convolve_winograd(const IgemmKernel& kernel, const WinogradInput& reads,
                       const BPanels* weights, const ConvTarget& target, bool rectify,
                       ImageRows rows, std::size_t height, std::size_t width, std::size_t channels,
                       std::size_t panel_begin, std::size_t panel_end, Arena& scratch);

// Bytes that convolve_winograd() takes from `scratch` and gives back for `rows` rows of one frame.
std::size_t winograd_scratch_bytes(const IgemmKernel& kernel, const WinogradInput& reads,
                                   std::size_t rows, std::size_t height, std::size_t width);

// Output rows whose tiles fit into cache, a multiple of kWinogradOutput.
std::size_t winograd_strip(const WinogradInput& reads, std::size_t width);

}  // namespace adafuse
